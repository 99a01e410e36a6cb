# cython: language_level=3
"""TableIndex: which data block of a table a key belongs to, in memory.

Block i holds the entries with user keys in (separator i-1, separator i]; only when versions of one user key fill more
than a block do neighbours have the same separator. The bytes common to all separators are looked at once, the eight
that follow as numbers; whole keys are compared only between separators that agree in all of these.

Owner: owns its arrays until `table_index_free`. Threads: immutable once loaded.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from lsm.core.block_format cimport BLOCK_TRAILER_BYTES
from lsm.core.coding cimport Input, Slice, input_bytes, input_left, input_of, input_varint, input_varint32, slice_of
from lsm.core.fault cimport Fault, fault_corrupt, fault_memory
from lsm.core.key cimport KEY_BYTES_MAX, compare_slices, key_prefix
from lsm.core.table_format cimport TABLE_BLOCK_STORED_MAX, Footer


cdef struct TableIndex:
    size_t count
    size_t common           # bytes every separator begins with
    uint64_t *prefixes      # count: of what follows these
    uint64_t *block_at      # count + 1: offsets in the file; the last is the end of the data
    uint32_t *key_at        # count + 1
    uint8_t *keys


cdef inline void table_index_free(TableIndex *self) noexcept nogil:
    free(self.prefixes)
    free(self.block_at)
    free(self.key_at)
    free(self.keys)
    memset(self, 0, sizeof(TableIndex))


cdef inline Slice table_index_key(const TableIndex *self, size_t i) noexcept nogil:
    return slice_of(self.keys + self.key_at[i], self.key_at[i + 1] - self.key_at[i])


cdef inline uint64_t table_index_bytes(const TableIndex *self) noexcept nogil:
    """Memory taken, with the slots of the cache."""
    return (self.count + 1) * (3 * sizeof(uint64_t) + sizeof(uint32_t)) + self.key_at[self.count]


cdef inline size_t table_index_block_size(const TableIndex *self, size_t i) noexcept nogil:
    return <size_t>(self.block_at[i + 1] - self.block_at[i])


cdef inline int _index_entry(TableIndex *self, size_t i, Input *source, uint64_t data_end) noexcept nogil:
    """Read entry i: 0, or -1 when it is no entry or does not follow the one before."""
    cdef uint32_t size = 0
    cdef Slice key
    cdef uint64_t offset = 0
    cdef uint64_t stored = 0
    if input_varint32(source, &size) != 0 or size > KEY_BYTES_MAX or input_bytes(source, size, &key) != 0:
        return -1
    if input_varint(source, &offset) != 0 or input_varint(source, &stored) != 0:
        return -1
    if offset != self.block_at[i] or stored <= BLOCK_TRAILER_BYTES or stored > TABLE_BLOCK_STORED_MAX:
        return -1
    if stored > data_end - offset:
        return -1
    if size > 0:
        memcpy(self.keys + self.key_at[i], key.data, size)
    self.key_at[i + 1] = self.key_at[i] + size
    self.block_at[i + 1] = offset + stored
    if i > 0 and compare_slices(table_index_key(self, i - 1), table_index_key(self, i)) > 0:
        return -1
    return 0


cdef inline void _index_prefixes(TableIndex *self) noexcept nogil:
    cdef Slice first = table_index_key(self, 0)
    cdef Slice last = table_index_key(self, self.count - 1)
    cdef Slice key
    cdef size_t i
    while self.common < first.size and self.common < last.size and first.data[self.common] == last.data[self.common]:
        self.common += 1
    for i in range(self.count):
        key = table_index_key(self, i)
        self.prefixes[i] = key_prefix(key.data + self.common, key.size - self.common)


cdef inline int table_index_load(TableIndex *self, Slice contents, uint64_t blocks, const Footer *footer,
                                 const char *file, Fault *fault) noexcept nogil:
    """Build the index from the contents of the index block, which must describe exactly `blocks` blocks that tile the
    file from 0 to the filter, with separators that do not descend."""
    cdef Input source = input_of(contents.data, contents.size)
    cdef size_t i
    memset(self, 0, sizeof(TableIndex))
    if blocks == 0 or blocks > contents.size // 3:
        return fault_corrupt(fault, file, footer.index.offset, "table index: too small for its number of blocks")
    self.count = <size_t>blocks
    self.prefixes = <uint64_t *>malloc(self.count * sizeof(uint64_t))
    self.block_at = <uint64_t *>malloc((self.count + 1) * sizeof(uint64_t))
    self.key_at = <uint32_t *>malloc((self.count + 1) * sizeof(uint32_t))
    self.keys = <uint8_t *>malloc(contents.size)
    if self.prefixes == NULL or self.block_at == NULL or self.key_at == NULL or self.keys == NULL:
        table_index_free(self)
        return fault_memory(fault)
    self.block_at[0] = 0
    self.key_at[0] = 0
    for i in range(self.count):
        if _index_entry(self, i, &source, footer.filter.offset) != 0:
            table_index_free(self)
            return fault_corrupt(fault, file, footer.index.offset, "table index: bad entry")
    if input_left(&source) != 0 or self.block_at[self.count] != footer.filter.offset:
        table_index_free(self)
        return fault_corrupt(fault, file, footer.index.offset, "table index: does not end where the data ends")
    _index_prefixes(self)
    return 0


cdef inline size_t _first_prefix_at_least(const uint64_t *prefixes, size_t count, uint64_t prefix) noexcept nogil:
    cdef const uint64_t *base = prefixes
    cdef size_t half
    while count > 1:
        half = count // 2
        base += half if base[half - 1] < prefix else 0
        count -= half
    return <size_t>(base - prefixes) + (base[0] < prefix)


cdef inline size_t table_index_find(const TableIndex *self, Slice key) noexcept nogil:
    """The first block whose separator is not before `key`; `count` when there is none."""
    cdef size_t low, high, middle
    cdef uint64_t prefix
    cdef int order
    if self.common > 0:
        order = memcmp(key.data, self.keys, self.common if key.size > self.common else key.size) if key.size > 0 else 0
        if order != 0:
            return 0 if order < 0 else self.count
        if key.size < self.common:
            return 0
    prefix = key_prefix(key.data + self.common, key.size - self.common)
    low = _first_prefix_at_least(self.prefixes, self.count, prefix)
    if low == self.count or self.prefixes[low] != prefix:
        return low
    high = self.count
    if prefix != <uint64_t>-1:
        high = low + _first_prefix_at_least(self.prefixes + low, self.count - low, prefix + 1)
    while low < high:
        middle = low + (high - low) // 2
        if compare_slices(table_index_key(self, middle), key) < 0:
            low = middle + 1
        else:
            high = middle
    return low
