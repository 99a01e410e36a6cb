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
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from lsm.core.block cimport BlockEntry, BlockView, block_get, block_view
from lsm.core.block_directory cimport DIRECTORY_CONTENTS_MAX, directory_block, directory_get, directory_view
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


cdef enum:
    TABLE_STACK_BYTES = 16384           # blocks up to this size are read and opened without an allocation


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
    Block **slots                   # one for each data block: where the cache shows it
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


cdef inline int _block_open(Table *self, Slice contents, uint64_t offset, bint data, Block **block,
                            Fault *fault) noexcept nogil:
    if data:
        return directory_block(contents, self.name, offset, block, fault)
    block[0] = block_new(0, contents.size)
    if block[0] == NULL:
        return fault_memory(fault)
    if contents.size > 0:
        memcpy(block_data(block[0]), contents.data, contents.size)
    return 0


cdef inline int table_open_block(Table *self, const SealedBlock *sealed, uint64_t offset, bint data, Block **block,
                                 Fault *fault) noexcept nogil:
    """Open a block whose checksum holds. A large one is opened where it stays, a small one by way of the stack."""
    cdef uint8_t stack[TABLE_STACK_BYTES]
    if sealed.compression == COMPRESSION_NONE and sealed.size <= DIRECTORY_CONTENTS_MAX:
        return _block_open(self, slice_of(sealed.stored, sealed.size), offset, data, block, fault)
    if sealed.size <= TABLE_STACK_BYTES:
        if sealed_open(sealed, stack, self.name, offset, fault) != 0:
            return -1
        return _block_open(self, slice_of(stack, sealed.size), offset, data, block, fault)
    block[0] = block_new(0, sealed.size)
    if block[0] == NULL:
        return fault_memory(fault)
    if sealed_open(sealed, block_data(block[0]), self.name, offset, fault) != 0:
        block_release(block[0])
        return -1
    return 0


cdef inline int _table_read(Table *self, Handle handle, uint8_t *room, bint data, Block **block,
                            Fault *fault) noexcept nogil:
    cdef SealedBlock sealed
    cdef int error = self.env.pread(self.file, handle.offset, room, <size_t>handle.size)
    count_more(&self.counters.block_reads, 1)
    count_more(&self.counters.bytes_read, handle.size)
    if error != 0:
        return table_system(self.name, handle.offset, error, "reading a table", fault)
    if sealed_block(&sealed, room, <size_t>handle.size, self.name, handle.offset, fault) != 0:
        return -1
    return table_open_block(self, &sealed, handle.offset, data, block, fault)


cdef inline int table_read_block(Table *self, Handle handle, bint data, Block **block, Fault *fault) noexcept nogil:
    """Read, check and open one block of the file; the caller's own. `data`: with the directory of a data block."""
    cdef uint8_t stack[TABLE_STACK_BYTES]
    cdef uint8_t *room = stack
    cdef int answer
    if handle.size > TABLE_STACK_BYTES:
        room = <uint8_t *>malloc(<size_t>handle.size)
        if room == NULL:
            return fault_memory(fault)
    answer = _table_read(self, handle, room, data, block, fault)
    if room != stack:
        free(room)
    return answer


cdef inline Handle table_block_handle(const Table *self, size_t i) noexcept nogil:
    cdef Handle handle
    handle.offset = self.index.block_at[i]
    handle.size = table_index_block_size(&self.index, i)
    return handle


cdef inline Block *table_cached(Table *self, size_t i) noexcept nogil:
    """Data block i, with a reference for the caller; NULL when it would have to be read."""
    return cache_get(self.cache, &self.slots[i], False)


cdef inline int table_block(Table *self, size_t i, bint may_read, Block **block, Fault *fault) noexcept nogil:
    """Data block i, with a reference for the caller; NULL when it would have to be read and may not be."""
    block[0] = cache_get(self.cache, &self.slots[i], may_read)
    if block[0] != NULL or not may_read:
        return 0
    if table_read_block(self, table_block_handle(self, i), True, block, fault) != 0:
        return -1
    cache_put(self.cache, &self.slots[i], block[0])
    return 0


cdef inline int table_block_get(Table *self, size_t i, Block *block, Slice key, uint64_t sequence, bint *past,
                                TableAnswer *answer, Fault *fault) noexcept nogil:
    """Look in data block i, which is `block`; its reference goes into the answer, or is given back. `past` tells that no
    later block can hold `key`."""
    cdef BlockView view
    cdef BlockEntry entry
    cdef bint found = False
    cdef int status
    answer.state = TABLE_ABSENT
    if block.count > 0:
        view = directory_view(block, self.name, self.index.block_at[i])
        status = directory_get(block, &view, key, seek_tag(sequence), &found, past, &entry, fault)
    else:
        status = block_view(&view, slice_of(block_data(block), block.size), self.name, self.index.block_at[i], fault)
        if status == 0:
            status = block_get(&view, key, seek_tag(sequence), &found, past, &entry, fault)
    if status != 0 or not found:
        if not past[0]:
            past[0] = compare_slices(table_index_key(&self.index, i), key) != 0
        block_release(block)
        return status
    answer.state = TABLE_FOUND
    answer.tag = entry.tag
    answer.value = entry.value
    answer.block = block
    return 0


cdef inline bint table_passes(Table *self, uint64_t hash) noexcept nogil:
    """Ask the filter; who is let through tells later whether the key was there."""
    if bloom_may_contain(&self.filter, hash):
        return True
    count_more(&self.counters.filter_probes, 1)
    count_more(&self.counters.filter_negatives, 1)
    return False


cdef inline void table_counts_found(Table *self) noexcept nogil:
    count_more(&self.counters.filter_probes, 1)


cdef inline void table_counts_absent(Table *self) noexcept nogil:
    count_more(&self.counters.filter_probes, 1)
    count_more(&self.counters.false_positives, 1)


cdef inline int table_get(Table *self, Slice key, uint64_t hash, uint64_t sequence, bint may_read,
                          TableAnswer *answer, Fault *fault) noexcept nogil:
    """The newest entry of `key` at or below `sequence`, a deletion too; `hash` is hash64 of the key."""
    cdef Block *block = NULL
    cdef bint past = False
    cdef size_t i
    answer.state = TABLE_ABSENT
    if not table_passes(self, hash):
        return 0
    i = table_index_find(&self.index, key)
    while i < self.index.count and not past:
        if table_block(self, i, may_read, &block, fault) != 0:
            return -1
        if block == NULL:
            answer.state = TABLE_WOULD_READ
            return 0
        if table_block_get(self, i, block, key, sequence, &past, answer, fault) != 0:
            return -1
        if answer.state == TABLE_FOUND:
            table_counts_found(self)
            return 0
        i += 1
    table_counts_absent(self)
    return 0
