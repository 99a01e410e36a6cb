# cython: language_level=3
"""DataPages: the records of one data file in memory, as far as they are there.

Of the file that is written to everything is: the writer lays each record at its place in an image of the file too, so what was
just written is read without a system call; and notes by the hash of the key where it lies, for who looks it up soon. A file
that is only read is seen as pages of 4 KiB, each with a slot where the block cache may show it (cache.pxd). Records over
32 KiB are neither in the image nor in the cache: they are read straight from the file.

Every record is checked whenever it is read, wherever from: its checksum, and that it is the one that was meant.

Owner: the binding's DataFile. Threads: any may read; bytes of the image that a reader may look at were there before it took the
store's index lock to find out where they are.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from lsm.core.cache cimport Cache, cache_erase_table, cache_get, cache_put
from lsm.core.cached_block cimport Block, block_data, block_new, block_release
from lsm.core.coding cimport Slice
from lsm.core.data_record cimport DATA_BATCH, DataRecord, data_record_bytes, data_record_decode, data_record_whole
from lsm.core.env cimport File
from lsm.core.fault cimport Fault, fault_corrupt, fault_memory, fault_system
from lsm.core.key cimport KIND_PUT
from lsm.core.record cimport RecordHeader

cdef extern from "posix.h" nogil:
    int ENODATA

cdef extern from "lsm_bits.h" nogil:
    void lsm_prefetch(const void *p)
    uintptr_t lsm_load_relaxed(uintptr_t *p)
    void *lsm_huge_alloc(size_t size)
    uint64_t _load_guess "lsm_load_relaxed"(uint64_t *p)
    void _store_guess "lsm_store_relaxed"(uint64_t *p, uint64_t value)


cdef enum:
    PAGE_BYTES = 4096
    PAGED_RECORD_MAX = 32768
    HUGE_BYTES = 2097152
    GUESSES_MIN = 64
    GUESS_RECORD_BYTES = 128            # there is a guess for so many bytes of the file


cdef enum DataAnswer:
    DATA_READ = 0
    DATA_WOULD_READ = 1


cdef struct DataPages:
    Cache *cache
    Block **slots
    uint8_t *image                      # of the file that is written to; NULL: it is read by pages
    uint64_t capacity                   # of the image
    uint64_t *guesses                   # by the hash of the key: 32 bits of it, above where its record may lie, in units
    uint64_t guess_mask


ctypedef struct DataPlace:
    uint64_t offset
    uint32_t key_size
    uint32_t value_size
    uint64_t sequence


ctypedef struct DataFound:
    DataRecord record                   # borrowed from `held`, or from the caller's room
    Block *held


cdef inline int data_pages_init(DataPages *self, Cache *cache, uint64_t size, bint writing) noexcept nogil:
    """For a file of up to so many bytes. -1 when there is no memory."""
    self.cache = cache
    self.capacity = size
    self.image = NULL
    self.guesses = NULL
    if writing:
        self.image = <uint8_t *>lsm_huge_alloc(<size_t>(size + HUGE_BYTES - 1) // HUGE_BYTES * HUGE_BYTES)
        if self.image != NULL:
            _guesses_init(self)
            return 0
    self.slots = <Block **>calloc(_page_count(self), sizeof(Block *))
    return 0 if self.slots != NULL else -1


cdef inline void _guesses_init(DataPages *self) noexcept nogil:
    """For want of memory there are none."""
    cdef uint64_t count = GUESSES_MIN
    while count * GUESS_RECORD_BYTES < self.capacity:
        count *= 2
    if count * sizeof(uint64_t) < HUGE_BYTES:
        self.guesses = <uint64_t *>calloc(<size_t>count, sizeof(uint64_t))
    else:
        self.guesses = <uint64_t *>lsm_huge_alloc(<size_t>count * sizeof(uint64_t))
        if self.guesses != NULL:
            memset(self.guesses, 0, <size_t>count * sizeof(uint64_t))
    self.guess_mask = count - 1


cdef inline size_t _page_count(const DataPages *self) noexcept nogil:
    return <size_t>(self.capacity // PAGE_BYTES + 1)


cdef inline void data_pages_free(DataPages *self) noexcept nogil:
    if self.slots != NULL:
        cache_erase_table(self.cache, self.slots, _page_count(self))
    free(self.slots)
    free(self.image)
    free(self.guesses)
    self.slots = NULL
    self.image = NULL
    self.guesses = NULL


cdef inline void data_pages_append(DataPages *self, uint64_t hash, uint64_t offset, const uint8_t *record,
                                   size_t size) noexcept nogil:
    """This record, of a key of this hash, is appended to the file."""
    if self.image != NULL and size <= PAGED_RECORD_MAX:
        memcpy(self.image + offset, record, size)
        if self.guesses != NULL:
            _store_guess(&self.guesses[hash & self.guess_mask], hash >> 32 << 32 | offset >> 3)


cdef inline void data_pages_guess(const DataPages *self, uint64_t hash) noexcept nogil:
    """Have the record of the key of this hash brought into the processor's cache, if it was lately written: on its way while
    the index is still asked where it lies. Nothing but time depends on it."""
    cdef uint64_t guess
    cdef const char *record
    if self.guesses == NULL:
        return
    guess = _load_guess(&self.guesses[hash & self.guess_mask])
    if guess != 0 and guess >> 32 == hash >> 32:
        record = <const char *>self.image + ((guess & <uint64_t>0xFFFFFFFF) << 3)
        lsm_prefetch(record)
        lsm_prefetch(record + 64)
        lsm_prefetch(record + 128)


cdef inline void data_pages_ask(const DataPages *self, uint64_t offset) noexcept nogil:
    """Have the record at `offset` brought into the processor's cache, if it is in memory. The address alone is used: the page
    may be gone at any time."""
    cdef uintptr_t word
    cdef const char *record
    if self.image != NULL:
        record = <const char *>self.image + offset
    else:
        word = lsm_load_relaxed(<uintptr_t *>&self.slots[offset // PAGE_BYTES]) & ~<uintptr_t>1
        if word == 0:
            return
        lsm_prefetch(<const char *>word)
        record = <const char *>word + sizeof(Block) + (offset & (PAGE_BYTES - 1))
    lsm_prefetch(record)
    lsm_prefetch(record + 64)
    lsm_prefetch(record + 128)


cdef inline int data_system(File *file, uint64_t offset, int error, Fault *fault) noexcept nogil:
    if error == ENODATA:
        return fault_corrupt(fault, file.name, offset, "the file ends before a record that it has to hold")
    fault_system(fault, file.name, error, "reading a data file")
    fault.offset = offset
    return -1


cdef inline int _page(DataPages *self, File *file, size_t page, uint64_t end, bint may_read, Block **block,
                      Fault *fault) noexcept nogil:
    """A page with a reference for the caller: of the last page of a file, what is known to be there (`end`). NULL when it
    would have to be read and may not be."""
    cdef uint64_t start = <uint64_t>page * PAGE_BYTES
    cdef size_t size = PAGE_BYTES
    cdef int error
    block[0] = cache_get(self.cache, &self.slots[page], may_read)
    if block[0] != NULL or not may_read:
        return 0
    if start + PAGE_BYTES > end:
        size = <size_t>(end - start)
    block[0] = block_new(0, PAGE_BYTES)
    if block[0] == NULL:
        return fault_memory(fault)
    error = file.env.pread(file, start, block_data(block[0]), size)
    if error != 0:
        block_release(block[0])
        block[0] = NULL
        return data_system(file, start, error, fault)
    if size == PAGE_BYTES:
        cache_put(self.cache, &self.slots[page], block[0])
    return 0


cdef inline int _gather_pages(DataPages *self, File *file, uint64_t offset, size_t size, uint64_t end, bint may_read,
                              uint8_t *room, Fault *fault) noexcept nogil:
    cdef Block *block = NULL
    cdef size_t within
    cdef size_t part
    while size > 0:
        within = <size_t>(offset & (PAGE_BYTES - 1))
        part = PAGE_BYTES - within
        if part > size:
            part = size
        if _page(self, file, <size_t>(offset // PAGE_BYTES), end, may_read, &block, fault) != 0:
            return -1
        if block == NULL:
            return DATA_WOULD_READ
        memcpy(room, block_data(block) + within, part)
        block_release(block)
        room += part
        offset += part
        size -= part
    return DATA_READ


cdef inline int _check(File *file, uint32_t number, const DataPlace *place, const uint8_t *at, size_t total, Slice key,
                       DataFound *found, Fault *fault) noexcept nogil:
    cdef RecordHeader header
    if not data_record_whole(at, total, number, &header) or header.size != place.key_size + place.value_size:
        return fault_corrupt(fault, file.name, place.offset, "a record is damaged")
    if data_record_decode(at, &found.record) != 0 or found.record.kind != KIND_PUT or found.record.place == DATA_BATCH:
        return fault_corrupt(fault, file.name, place.offset, "a record says what no version wrote")
    if (found.record.sequence != place.sequence or found.record.key.size != key.size
            or (key.size > 0 and memcmp(found.record.key.data, key.data, key.size) != 0)):
        return fault_corrupt(fault, file.name, place.offset, "this is another record than the one that was written here")
    return 0


cdef inline int data_read(DataPages *self, File *file, uint32_t number, uint64_t end, const DataPlace *place, Slice key,
                          bint may_read, uint8_t *room, DataFound *found, Fault *fault) noexcept nogil:
    """Read and check the record at `place`. `room` has PAGED_RECORD_MAX bytes, or as many as a longer record has; `end` is the
    size of the file. The caller gives `found.held` back."""
    cdef size_t total = data_record_bytes(place.key_size, place.value_size)
    cdef size_t within = <size_t>(place.offset & (PAGE_BYTES - 1))
    cdef const uint8_t *at = room
    cdef int status
    found.held = NULL
    if total > end or place.offset > end - total:
        return fault_corrupt(fault, file.name, place.offset, "the file ends before a record that it has to hold")
    if self.image != NULL and total <= PAGED_RECORD_MAX:
        at = self.image + place.offset
    elif within + total <= PAGE_BYTES:
        if _page(self, file, <size_t>(place.offset // PAGE_BYTES), end, may_read, &found.held, fault) != 0:
            return -1
        if found.held == NULL:
            return DATA_WOULD_READ
        at = block_data(found.held) + within
    elif total <= PAGED_RECORD_MAX:
        status = _gather_pages(self, file, place.offset, total, end, may_read, room, fault)
        if status != DATA_READ:
            return status
    elif not may_read:
        return DATA_WOULD_READ
    else:
        status = file.env.pread(file, place.offset, room, total)
        if status != 0:
            return data_system(file, place.offset, status, fault)
    status = _check(file, number, place, at, total, key, found, fault)
    if status != 0:
        block_release(found.held)
        found.held = NULL
    return status
