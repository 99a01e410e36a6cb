# TableWriter: the Python door to writing a table file entry by entry, and what the manifest keeps of a new table.
#
# Flush and compaction write tables in C (merge.pxi). One user at a time.
cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from lsm.core.env cimport Env
from lsm.core.key cimport tag_of
from lsm.core.table_builder cimport (
    TableBuilder, TableOptions, TableSummary, table_builder_add, table_builder_free, table_builder_open,
    table_builder_size, table_options_default,
)
from lsm.core.table_finish cimport table_builder_finish


cdef dict facts_of_summary(const TableSummary *summary):
    """What the manifest keeps of a new table."""
    facts = facts_of_properties(&summary.properties)
    facts["size"] = summary.file_size
    facts["crc"] = summary.crc
    return facts


cdef int fill_table_options(TableOptions *options, block_bytes, restart_interval, bits_per_key, compression,
                            number, bytes database_id, created) except -1:
    table_options_default(options)
    if compression not in _COMPRESSION_IDS:
        raise ValueError(f"compression is one of {', '.join(_COMPRESSION_IDS)}, not {compression!r}")
    if len(database_id) != sizeof(options.database_id):
        raise ValueError("a database id is 16 bytes")
    options.block_bytes = block_bytes
    options.restart_interval = restart_interval
    options.bits_per_key = bits_per_key
    options.compression = _COMPRESSION_IDS[compression]
    options.number = number
    options.created = created
    memcpy(options.database_id, <const char *>database_id, sizeof(options.database_id))
    return 0


@cython.final
@cython.no_gc_clear
cdef class TableWriter:
    """TableWriter(directory, name, *, ...): write a table file entry by entry. Unfinished, it leaves no file behind."""
    cdef TableBuilder builder
    cdef bint open
    cdef readonly Directory directory
    cdef unsigned long generation

    def __cinit__(self, Directory directory not None, str name not None, *, block_bytes=4096, restart_interval=16,
                  bits_per_key=10, compression="none", number=0, bytes database_id=b"\0" * 16, created=0):
        cdef Env *env = directory.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef TableOptions options
        cdef Fault fault
        cdef int answer
        fill_table_options(&options, block_bytes, restart_interval, bits_per_key, compression, number, database_id,
                           created)
        self.directory = directory
        self.generation = fork_generation
        self.open = True
        with nogil:
            answer = table_builder_open(&self.builder, env, text, &options, &fault)
        if answer != 0:
            raise_fault(&fault, directory.path)

    def __dealloc__(self):
        if self.open and self.generation == fork_generation:
            table_builder_free(&self.builder)

    cdef int check(self, int answer, Fault *fault) except -1:
        """A writer that failed once is over."""
        if answer == 0:
            return 0
        self.open = False
        table_builder_free(&self.builder)
        return raise_fault(fault, self.directory.path)

    cdef int ready(self) except -1:
        if not self.open or self.generation != fork_generation:
            raise ClosedError("the table writer is finished or failed: make another")
        return 0

    def add(self, bytes key not None, sequence, int kind, bytes value not None):
        """The next entry: after the one before by key, or of the same key and older."""
        cdef Fault fault
        cdef uint64_t tag = tag_of(sequence_of(sequence), kind & 0xFF)
        self.ready()
        self.check(table_builder_add(&self.builder, slice_of_bytes(key), tag, slice_of_bytes(value), &fault), &fault)

    @property
    def size(self):
        """About the size of the file if finished now."""
        self.ready()
        return table_builder_size(&self.builder)

    def finish(self):
        """Complete and sync the file; a dict of what the manifest keeps of it. Sync the directory next."""
        cdef TableSummary summary
        cdef Fault fault
        cdef int answer
        self.ready()
        self.open = False               # whatever another thread asks meanwhile
        with nogil:
            answer = table_builder_finish(&self.builder, &summary, &fault)
        try:
            return facts_of_summary(&summary) if answer == 0 else raise_fault(&fault, self.directory.path)
        finally:
            table_builder_free(&self.builder)
