# cython: language_level=3
"""Table: one immutable, sorted file of entries, opened for reading (docs/format-table.md).

Opening (table_open.pxd) reads and checks footer, properties, index and filter; index and filter stay in memory. Data
blocks are read when asked for, through the cache; the checksum of each is verified at every read from the file, and
nothing of a block is used before. A fault names the file and the offset of the block.

`table_get` with may_read false never touches the file: it answers TABLE_WOULD_READ, and the caller asks again with
may_read, having let go of whatever must not be held while waiting for a disk.

Owner: the opener owns the Table until `table_close`; Env and Cache outlive it; Blocks handed out do too if need be.
Threads: any number may read at once; the counters may then lose a count, never more.
"""
from libc.stdint cimport uint8_t, uint64_t

from lsm.core.block cimport BlockEntry, BlockView, block_get, block_view
from lsm.core.block_format cimport SealedBlock, sealed_block, sealed_open
from lsm.core.bloom cimport Bloom, bloom_may_contain
from lsm.core.cache cimport Cache, cache_get, cache_put
from lsm.core.cached_block cimport Block, block_data, block_new, block_release
from lsm.core.coding cimport Slice, slice_of
from lsm.core.compress cimport COMPRESSION_NONE
from lsm.core.env cimport Env, File
from lsm.core.fault cimport Fault, fault_corrupt, fault_memory, fault_system
from lsm.core.key cimport compare_slices, seek_tag
from lsm.core.table_format cimport Handle, TableProperties
from lsm.core.table_index cimport TableIndex, table_index_block_size, table_index_find, table_index_key

cdef extern from "<errno.h>" nogil:
    int ENODATA
    int ENOMEM

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **to, size_t alignment, size_t size)

cdef extern from "lsm_bits.h" nogil:
    uint64_t _load_count "lsm_load_relaxed"(uint64_t *p)
    void _store_count "lsm_store_relaxed"(uint64_t *p, uint64_t value)


cdef enum TableState:
    TABLE_ABSENT = 0
    TABLE_FOUND = 1
    TABLE_WOULD_READ = 2


cdef struct TableCounters:
    uint64_t filter_probes
    uint64_t filter_negatives       # the filter said no
    uint64_t false_positives        # it did not, and the key was not there
    uint64_t block_reads            # from the file
    uint64_t bytes_read


cdef struct Table:
    Env *env
    File *file
    char name[64]
    uint64_t file_size
    Cache *cache
    uint64_t cache_id
    TableProperties properties      # its keys lie in properties_block
    Block *properties_block
    TableIndex index
    Bloom filter
    uint8_t *filter_lines
    TableCounters counters


ctypedef struct TableExpected:      # what whoever names the file knows about it
    uint64_t file_size              # 0: not known
    uint64_t number                 # 0: not known
    const uint8_t *database_id      # 16 bytes; NULL: not known


ctypedef struct TableAnswer:
    int state
    uint64_t tag
    Slice value                     # in `block`
    Block *block                    # to be released by the caller when TABLE_FOUND


cdef inline void count_more(uint64_t *counter, uint64_t more) noexcept nogil:
    _store_count(counter, _load_count(counter) + more)


cdef inline int table_system(const char *file, uint64_t offset, int error, const char *doing,
                             Fault *fault) noexcept nogil:
    if error == ENODATA:
        return fault_corrupt(fault, file, offset, "the file ends before a block of it does")
    if error == ENOMEM:
        return fault_memory(fault)
    fault_system(fault, file, error, doing)
    fault.offset = offset
    return -1


cdef inline int table_read_block(Table *self, Handle handle, Block **block, Fault *fault) noexcept nogil:
    """Read, check and open one block of the file; the caller's own."""
    cdef SealedBlock sealed
    cdef Block *raw = block_new(0, <size_t>handle.size)
    cdef Block *opened
    cdef int error
    if raw == NULL:
        return fault_memory(fault)
    error = self.env.pread(self.file, handle.offset, block_data(raw), <size_t>handle.size)
    count_more(&self.counters.block_reads, 1)
    count_more(&self.counters.bytes_read, handle.size)
    if error != 0:
        block_release(raw)
        return table_system(self.name, handle.offset, error, "reading a table", fault)
    if sealed_block(&sealed, block_data(raw), <size_t>handle.size, self.name, handle.offset, fault) != 0:
        block_release(raw)
        return -1
    if sealed.compression == COMPRESSION_NONE:
        raw.size = sealed.size
        block[0] = raw
        return 0
    opened = block_new(sealed.size, sealed.size)
    error = fault_memory(fault) if opened == NULL else sealed_open(&sealed, block_data(opened), self.name,
                                                                   handle.offset, fault)
    block_release(raw)
    if error != 0:
        block_release(opened)
        return -1
    block[0] = opened
    return 0


cdef inline Handle table_block_handle(const Table *self, size_t i) noexcept nogil:
    cdef Handle handle
    handle.offset = self.index.block_at[i]
    handle.size = table_index_block_size(&self.index, i)
    return handle


cdef inline int table_block(Table *self, size_t i, bint may_read, Block **block, Fault *fault) noexcept nogil:
    """Data block i, with a reference for the caller; NULL when it would have to be read and may not be."""
    block[0] = cache_get(self.cache, self.cache_id, self.index.block_at[i], may_read)
    if block[0] != NULL or not may_read:
        return 0
    if table_read_block(self, table_block_handle(self, i), block, fault) != 0:
        return -1
    cache_put(self.cache, self.cache_id, self.index.block_at[i], block[0])
    return 0


cdef inline int table_get(Table *self, Slice key, uint64_t hash, uint64_t sequence, bint may_read,
                          TableAnswer *answer, Fault *fault) noexcept nogil:
    """The newest entry of `key` at or below `sequence`, a deletion too; `hash` is hash64 of the key."""
    cdef BlockView view
    cdef BlockEntry entry
    cdef Block *block = NULL
    cdef bint found = False
    cdef bint past = False
    cdef size_t i
    answer.state = TABLE_ABSENT
    if not bloom_may_contain(&self.filter, hash):
        count_more(&self.counters.filter_probes, 1)
        count_more(&self.counters.filter_negatives, 1)
        return 0
    i = table_index_find(&self.index, key)
    while i < self.index.count:
        if table_block(self, i, may_read, &block, fault) != 0:
            return -1
        if block == NULL:
            answer.state = TABLE_WOULD_READ
            return 0
        if (block_view(&view, slice_of(block_data(block), block.size), self.name, self.index.block_at[i], fault) != 0
                or block_get(&view, key, seek_tag(sequence), &found, &past, &entry, fault) != 0):
            block_release(block)
            return -1
        if found:
            count_more(&self.counters.filter_probes, 1)
            answer.state = TABLE_FOUND
            answer.tag = entry.tag
            answer.value = entry.value
            answer.block = block
            return 0
        block_release(block)
        if past or compare_slices(table_index_key(&self.index, i), key) != 0:
            break
        i += 1
    count_more(&self.counters.filter_probes, 1)
    count_more(&self.counters.false_positives, 1)
    return 0
