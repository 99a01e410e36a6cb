"""DataFile: a file of records of a hashlog, written to or only read (core/data_pages.pxd); and what is built of records.

A DataFile keeps its Directory and its BlockCache alive. Set `obsolete` when no manifest names it any more: the last holder to
let go removes it, and its hint. Threads: a DataFile may be shared; one store appends, under its write lock.
"""
import os.path as _path

from lsm.core.data_pages cimport (
    DATA_READ, DATA_WOULD_READ, PAGED_RECORD_MAX, DataFound, DataPages, DataPlace, data_pages_append, data_pages_ask,
    data_pages_free, data_pages_guess, data_pages_init, data_read,
)
from lsm.core.data_record cimport (
    DATA_ALONE, DATA_BATCH, DATA_FILE_BYTES_MAX, DATA_INSIDE, DataRecord, data_batch_seal, data_record_bytes,
    data_record_decode, data_record_encode, data_record_open, data_record_whole,
)
from lsm.core.hint cimport HintEntry, hint_add, hint_begin, hint_check, hint_entries, hint_next, hint_seal


ctypedef struct FileCounts:
    uint64_t live                       # bytes of the records that the index leads to
    uint64_t tombstones                 # bytes of the records that delete


cdef inline const char *_data_magic() noexcept nogil:
    return b"lsm.data"


def data_file_name(uint64_t number):
    return f"{number:06d}.data"


def hint_file_name(uint64_t number):
    return f"{number:06d}.hint"


@cython.final
@cython.no_gc_clear         # __dealloc__ needs what it refers to
cdef class DataFile(SyncedFile):
    """DataFile(directory, cache, number, database, *, capacity=0, size=None): without a size a new one for so many bytes,
    durable when this returns; else one that is there, of which the first `size` bytes count, 0: all there are."""
    cdef DataPages pages
    cdef BlockCache cache
    cdef FileCounts counts
    cdef readonly uint64_t capacity
    cdef bint writing
    cdef uint64_t ends                  # when it is only read
    cdef public bint obsolete
    cdef unsigned long generation
    cdef bytes database
    cdef DataFile before                # whose place it takes

    def __init__(self, Directory directory not None, BlockCache cache not None, uint64_t number, bytes database not None,
                 *, uint64_t capacity=0, size=None):
        cdef uint8_t header[LOG_HEADER_BYTES]
        if number == 0 or number > <uint64_t>0xFFFFFFFF:
            raise ValueError(f"data files are numbered from 1 to {0xFFFFFFFF}, not {number}")
        self.generation = fork_generation
        self.cache = cache
        self.database = database
        self.capacity = capacity
        if size is not None:
            self.open_to_read(directory, number, database, size)
        if data_pages_init(&self.pages, cache.cache, self.capacity, size is None) != 0:
            raise MemoryError
        if size is None:
            self.writing = True
            log_header_encode(header, _data_magic(), number, _identity(database))
            self.make(directory, number, data_file_name(number), header, "a data file")

    cdef int open_to_read(self, Directory directory, uint64_t number, bytes database, size) except -1:
        cdef Env *env = directory.opened()
        cdef LogReader reader
        cdef Fault fault
        cdef uint8_t header[LOG_HEADER_BYTES]
        cdef bytes encoded
        cdef const char *c_name
        cdef int error
        self.directory = directory
        self.number = number
        self.name = data_file_name(number)
        encoded = self.name.encode()
        c_name = encoded
        with nogil:
            error = env.open(env, c_name, MODE_READ, &self.file)
        if error != 0:
            self.file = NULL
            directory.refuse(error, self.name, "opening")
        self.ends = self.capacity = <uint64_t>size if size else self.file.size
        if self.file.size < self.ends:
            raise CorruptionError(_path.join(directory.path, self.name), self.file.size,
                                  f"the file ends here, and has to have {self.ends} bytes")
        with nogil:
            error = self.file.env.pread(self.file, 0, header, LOG_HEADER_BYTES)
        if error != 0:
            directory.refuse(error, self.name, "reading")
        _data_reader(&reader, slice_of(header, LOG_HEADER_BYTES), number, c_name)
        if log_header_check(&reader, number, _identity(database), &fault) != 0:
            raise_fault(&fault, directory.path)
        return 0

    def __dealloc__(self):
        cdef Env *env
        cdef bytes data
        cdef bytes hint
        if self.generation != fork_generation:
            return
        data_pages_free(&self.pages)
        if self.obsolete and self.file != NULL:
            env = self.directory.env
            data = self.name.encode()
            hint = hint_file_name(self.number).encode()
            env.unlink(env, data)       # left behind, they are found and removed when the database opens next
            env.unlink(env, hint)

    cdef inline uint64_t end(self) noexcept nogil:
        """How many bytes of the file count."""
        return lsm_load_acquire(&self.file.size) if self.writing else self.ends

    @property
    def size(self):
        """Bytes of it that count."""
        return self.end() if self.file != NULL else 0

    @property
    def live_bytes(self):
        """Bytes of the records that the index leads to."""
        return lsm_load_relaxed(&self.counts.live)

    @property
    def tombstone_bytes(self):
        """Bytes of the records that delete."""
        return lsm_load_relaxed(&self.counts.tombstones)

    def finish(self, Gate store not None):
        """Nothing more is appended: cut off the room behind the last record, and make all durable. By one thread. When the
        sync fails the store takes no more writes."""
        cdef Fault fault
        cdef int status
        with nogil:
            self.file.env.truncate(self.file, self.file.size)      # refused, there is room behind the records: no harm
            status = self.sync(&fault)
        if status != 0:
            lsm_set_bits(&store.gate, GATE_FAILED)      # before anybody else may write or sync
            try:
                raise_lasting(&fault, self.directory.path)
            except BaseException as error:
                store.fail(error)
                raise
        self.synced_whole = True

    def opened_again(self):
        """The same file, opened to be read only; shown in this one's place it takes over what is counted."""
        cdef DataFile file = DataFile(self.directory, self.cache, self.number, self.database, size=self.file.size)
        file.before = self
        return file

    def ends_at(self, uint64_t size):
        """Of a file that is only read no more than this counts."""
        self.ends = size

    cdef bytes value_at(self, const DataPlace *place, Slice key):
        """The value of the record there, read from memory, or from the disk without the GIL."""
        cdef uint8_t stack[PAGED_RECORD_MAX]
        cdef uint8_t *room = stack
        cdef size_t total = data_record_bytes(place.key_size, place.value_size)
        cdef DataFound found
        cdef Fault fault
        cdef int status
        found.held = NULL
        if total > PAGED_RECORD_MAX:
            room = <uint8_t *>malloc(total)
            if room == NULL:
                raise MemoryError
        try:
            status = data_read(&self.pages, self.file, <uint32_t>self.number, self.end(), place, key, False, room, &found,
                               &fault)
            if status == DATA_WOULD_READ:
                with nogil:
                    status = data_read(&self.pages, self.file, <uint32_t>self.number, self.end(), place, key, True, room,
                                       &found, &fault)
            if status != DATA_READ:
                raise_fault(&fault, self.directory.path)
            return bytes_of(found.record.value)
        finally:
            block_release(found.held)
            if room != stack:
                free(room)

    def __repr__(self):
        return f"DataFile({self.name!r}: {self.size} bytes)"


cdef void _data_reader(LogReader *reader, Slice image, uint64_t number, const char *name) noexcept nogil:
    log_reader(reader, image, number, name)
    reader.magic = _data_magic()
    reader.open = data_record_open


def data_highest_watermark(bytes image not None, uint64_t number):
    """The highest sync watermark of any unharmed record in a data file, 0 when there is none."""
    cdef LogReader reader
    _data_reader(&reader, slice_of_bytes(image), number, b"")
    with nogil:
        log_watermark(&reader, LOG_HEADER_BYTES if reader.size > LOG_HEADER_BYTES else reader.size)
    return reader.synced
