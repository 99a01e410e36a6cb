# Table: the Python door to a table file. A version of the tree holds Tables; C code takes `.table`.
#
# A Table keeps its Directory and its BlockCache alive. Set `obsolete` when no later version needs the file: the last
# holder to let go removes it. Threads: a Table may be shared.
cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from lsm.core.bloom cimport hash64
from lsm.core.cached_block cimport block_release
from lsm.core.coding cimport Slice
from lsm.core.compress cimport COMPRESSION_LZ4, COMPRESSION_NONE, COMPRESSION_ZSTD, compression_built
from lsm.core.env cimport Env
from lsm.core.key cimport tag_kind, tag_sequence
from lsm.core.table cimport (
    Table as CTable, TABLE_ABSENT, TABLE_WOULD_READ, TableAnswer, TableCounters, TableExpected, table_get,
)
from lsm.core.table_cursor cimport table_cursor_open
from lsm.core.table_format cimport TableProperties
from lsm.core.table_index cimport table_index_block_size, table_index_bytes, table_index_key
from lsm.core.table_open cimport table_close, table_open
from lsm.core.table_verify cimport TableVerified, check_restarts, table_verified_free, table_verify

# Counts the forks this process is the child of. What was opened before belongs to the parent: not closed, not removed.
cdef unsigned long fork_generation = 0

cdef dict _COMPRESSION_IDS = {"none": COMPRESSION_NONE, "lz4": COMPRESSION_LZ4, "zstd": COMPRESSION_ZSTD}
compressions = tuple(filter(lambda name: compression_built(_COMPRESSION_IDS[name]), _COMPRESSION_IDS))


cdef dict facts_of_properties(const TableProperties *properties):
    return {
        "number": properties.number, "entries": properties.entries, "tombstones": properties.tombstones,
        "key_bytes": properties.key_bytes, "value_bytes": properties.value_bytes,
        "data_bytes": properties.data_bytes, "blocks": properties.blocks,
        "min_sequence": properties.min_sequence, "max_sequence": properties.max_sequence,
        "created": properties.created,
        "database_id": (<const char *>properties.database_id)[:sizeof(properties.database_id)],
        "smallest": bytes_of_slice(properties.smallest), "largest": bytes_of_slice(properties.largest),
    }


@cython.final
@cython.no_gc_clear         # __dealloc__ needs the Directory and the BlockCache
cdef class Table:
    """Table(directory, name, cache, *, size=0, number=0, database_id=None): a table file opened for reading.

    What is given of size, number and database_id must be true of the file.
    """
    cdef CTable *table
    cdef readonly Directory directory
    cdef readonly BlockCache cache
    cdef public bint obsolete
    cdef unsigned long generation
    cdef object __weakref__

    def __cinit__(self, Directory directory not None, str name not None, BlockCache cache not None, *, size=0,
                  number=0, bytes database_id=None):
        cdef Env *env = directory.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef TableExpected expected
        cdef Fault fault
        cdef int answer
        self.directory = directory
        self.cache = cache
        self.generation = fork_generation
        expected.file_size = size
        expected.number = number
        expected.database_id = NULL
        if database_id is not None:
            if len(database_id) != 16:
                raise ValueError("a database id is 16 bytes")
            expected.database_id = <const uint8_t *><const char *>database_id
        with nogil:
            answer = table_open(env, text, &expected, cache.cache, &self.table, &fault)
        if answer != 0:
            raise_fault(&fault, directory.path)

    def __dealloc__(self):
        cdef Env *env
        cdef CTable *table = self.table
        cdef char name[64]
        if table == NULL or self.generation != fork_generation:
            return
        env = table.env
        memcpy(name, table.name, sizeof(name))
        with nogil:
            table_close(table)
            if self.obsolete:
                env.unlink(env, name)       # left behind, it is found and removed when the database opens next

    def __repr__(self):
        return f"Table({self.name!r}: {self.entries} entries, {self.size} bytes)"

    @property
    def name(self):
        return _os.fsdecode(<bytes>self.table.name)

    @property
    def number(self):
        return self.table.properties.number

    @property
    def size(self):
        """Bytes of the file."""
        return self.table.file_size

    @property
    def entries(self):
        return self.table.properties.entries

    @property
    def tombstones(self):
        return self.table.properties.tombstones

    @property
    def smallest(self):
        return bytes_of_slice(self.table.properties.smallest)

    @property
    def largest(self):
        return bytes_of_slice(self.table.properties.largest)

    @property
    def properties(self):
        """Everything the file says of itself, as a dict."""
        return facts_of_properties(&self.table.properties)

    @property
    def index_bytes(self):
        """Memory the index takes."""
        return table_index_bytes(&self.table.index)

    @property
    def filter_bytes(self):
        """Memory the filter takes."""
        return self.table.filter.line_count * 64

    @property
    def counters(self):
        """Filter probes, filter negatives, false positives, blocks read, bytes read; since the table was opened."""
        cdef TableCounters *counted = &self.table.counters
        return {"filter_probes": lsm_load_relaxed(&counted.filter_probes),
                "filter_negatives": lsm_load_relaxed(&counted.filter_negatives),
                "false_positives": lsm_load_relaxed(&counted.false_positives),
                "block_reads": lsm_load_relaxed(&counted.block_reads),
                "bytes_read": lsm_load_relaxed(&counted.bytes_read)}

    def get(self, bytes key not None, sequence=None):
        """(sequence, kind, value) of the newest entry of `key` at or below `sequence`, or None."""
        cdef Slice wanted = slice_of_bytes(key)
        cdef uint64_t at_most = sequence_of(sequence)
        cdef uint64_t hash = hash64(wanted.data, wanted.size)
        cdef TableAnswer answer
        cdef Fault fault
        cdef int failed = table_get(self.table, wanted, hash, at_most, False, &answer, &fault)
        if failed == 0 and answer.state == TABLE_WOULD_READ:
            with nogil:
                failed = table_get(self.table, wanted, hash, at_most, True, &answer, &fault)
        if failed != 0:
            raise_fault(&fault, self.directory.path)
        if answer.state == TABLE_ABSENT:
            return None
        try:
            return tag_sequence(answer.tag), tag_kind(answer.tag), bytes_of_slice(answer.value)
        finally:
            block_release(answer.block)

    @property
    def blocks(self):
        """(offset, size in the file, separator) of each data block."""
        cdef size_t i
        cdef list found = []
        for i in range(self.table.index.count):
            found.append((self.table.index.block_at[i], table_index_block_size(&self.table.index, i),
                          bytes_of_slice(table_index_key(&self.table.index, i))))
        return found

    def cursor(self, bint scan=False):
        """A cursor over all versions of all keys; `scan`: reads ahead and leaves the cache alone."""
        return EntryCursor.over(table_cursor_open(self.table, scan), self, self.directory.path)

    def entries_list(self, bint reverse=False, bint scan=False):
        """All (key, sequence, kind, value), as a list."""
        cursor = self.cursor(scan)
        entry, found = cursor.last() if reverse else cursor.first(), []
        while entry is not None:
            found.append(entry)
            entry = cursor.prev() if reverse else cursor.next()
        return found

    def damage(self, crc=None):
        """Read and check every byte; `crc` is the whole file's as the manifest has it. (bytes, blocks, entries, and a
        list of the CorruptionErrors, one for each damaged block and part)."""
        cdef bint has_crc = crc is not None
        cdef uint32_t expected = crc if has_crc else 0
        cdef TableVerified verified
        cdef Fault fault
        cdef list found = []
        cdef size_t i
        cdef int answer
        with nogil:
            answer = table_verify(self.table, has_crc, expected, &verified, &fault)
        try:
            if answer != 0:
                raise_fault(&fault, self.directory.path)
            for i in range(verified.damages):
                found.append(error_of_fault(&verified.damage[i], self.directory.path))
        finally:
            table_verified_free(&verified)
        return verified.bytes, verified.blocks, verified.entries, found

    def verify(self, crc=None):
        """The same, but the first damage is raised. (bytes, blocks, entries)."""
        *seen, found = self.damage(crc)
        if found:
            raise found[0]
        return tuple(seen)
