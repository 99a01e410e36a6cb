# cython: language_level=3
"""The directory of a data block in memory: where each entry begins, and four bytes of its key.

On disk an entry is found by a binary search over the restart points and a walk from there, and each step of the walk
waits for the length of the entry before it, that is, for memory. In memory every entry of a block has a prefix, the
four bytes that follow what all keys of the block have in common, as a big-endian number, and an offset. A search looks
at the prefixes alone, which lie side by side next to the header of the block, then as a rule at one entry.

    directory := prefix u32 * count, offset u16 * count        host byte order: it never leaves memory

`directory_block` checks every entry of the contents once, before anything is looked up. Blocks of 64 KiB and more
have no directory: their entries are large, and few.

Owner: the Block. Threads: immutable once built.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from lsm.core.block cimport BlockEntry, BlockView, block_fault, block_get, block_get_from, block_view, entry_decode
from lsm.core.cached_block cimport Block, block_data, block_new
from lsm.core.coding cimport Slice, slice_of
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.key cimport compare_slices, key_prefix

cdef extern from "lsm_bits.h" nogil:
    bint lsm_unlikely(bint x)
    uint64_t lsm_load_big64(const void *p)
    void lsm_store_big64(void *p, uint64_t value)
    void lsm_store_big32(void *p, uint32_t value)
    void lsm_prefetch(const void *p)


cdef enum:
    DIRECTORY_CONTENTS_MAX = 65535
    DIRECTORY_PREFIX_BYTES = 4
    DIRECTORY_START_BYTES = 12          # at most, that directory_start writes
    DIRECTORY_TIES_MAX = 16         # more entries of one prefix than this are searched by their restart points


ctypedef struct DirectoryShape:
    uint32_t count
    uint32_t common
    Slice first                     # key, in the contents


cdef inline size_t _directory_bytes(const DirectoryShape *self) noexcept nogil:
    return (<size_t>self.count * (sizeof(uint32_t) + sizeof(uint16_t)) + 7) & ~<size_t>7


cdef inline uint32_t *directory_prefixes(Block *block) noexcept nogil:
    return <uint32_t *>(block + 1)


cdef inline uint16_t *directory_offsets(Block *block) noexcept nogil:
    return <uint16_t *>(directory_prefixes(block) + block.count)


cdef inline size_t _agreed_with_first(const DirectoryShape *self, const BlockEntry *entry, size_t agreed) noexcept nogil:
    """How many bytes a key has in common with the first, when its neighbour has `agreed`."""
    cdef size_t i = entry.shared
    cdef size_t end = <size_t>entry.shared + entry.unshared
    if entry.shared > agreed:
        return agreed
    if end > self.first.size:
        end = self.first.size
    while i < end and self.first.data[i] == entry.delta[i - entry.shared]:
        i += 1
    return i


cdef inline int _directory_measure(DirectoryShape *self, const BlockView *view, Fault *fault) noexcept nogil:
    """Decode every entry: how many there are, and what their keys have in common."""
    cdef const uint8_t *at = view.data
    cdef BlockEntry entry
    cdef size_t before = 0
    cdef size_t agreed = 0
    self.count = self.common = 0
    self.first = slice_of(NULL, 0)
    while at != view.entries_end:
        at = entry_decode(at, view.entries_end, &entry)
        if lsm_unlikely(at == NULL or entry.shared > before):
            return block_fault(view, fault, "data block: bad entry")
        if self.count == 0:
            self.first = slice_of(entry.delta, entry.unshared)
            agreed = entry.unshared
        else:
            agreed = _agreed_with_first(self, &entry, agreed)
        before = <size_t>entry.shared + entry.unshared
        self.count += 1
    self.common = <uint32_t>agreed
    return 0


cdef inline uint32_t _prefix_after(uint32_t before, uint32_t common, const BlockEntry *entry) noexcept nogil:
    """The prefix of a key, from that of its neighbour: the bytes they share are the same."""
    cdef unsigned int i
    cdef uint32_t at
    cdef uint32_t prefix = 0
    if common >= entry.shared and common - entry.shared + 8 <= entry.unshared:
        return <uint32_t>(lsm_load_big64(entry.delta + (common - entry.shared)) >> 32)
    for i in range(<unsigned int>DIRECTORY_PREFIX_BYTES):
        at = common + i
        prefix <<= 8
        if at < entry.shared:
            prefix |= (before >> (24 - 8 * i)) & 0xFF
        elif at - entry.shared < entry.unshared:
            prefix |= entry.delta[at - entry.shared]
    return prefix


cdef inline void _directory_fill(Block *block, const DirectoryShape *shape, const BlockView *view) noexcept nogil:
    """Write the directory of contents that were measured."""
    cdef const uint8_t *at = view.data
    cdef uint32_t *prefixes
    cdef uint16_t *offsets
    cdef BlockEntry entry
    cdef uint32_t prefix = 0
    cdef uint32_t i
    block.count = shape.count
    block.entries_size = <uint32_t>(view.entries_end - view.data)
    block.common = shape.common
    block.head = key_prefix(shape.first.data, shape.first.size)
    prefixes = directory_prefixes(block)
    offsets = directory_offsets(block)
    for i in range(shape.count):
        offsets[i] = <uint16_t>(at - view.data)
        at = entry_decode(at, view.entries_end, &entry)
        prefix = _prefix_after(prefix, shape.common, &entry)
        prefixes[i] = prefix


cdef inline int directory_block(Slice contents, const char *file, uint64_t offset, Block **block,
                                Fault *fault) noexcept nogil:
    """A Block of its caller with a copy of these contents and their directory; a fault when they are no data block."""
    cdef BlockView view
    cdef DirectoryShape shape
    if block_view(&view, contents, file, offset, fault) != 0 or _directory_measure(&shape, &view, fault) != 0:
        return -1
    block[0] = block_new(_directory_bytes(&shape), contents.size)
    if block[0] == NULL:
        return fault_memory(fault)
    memcpy(block_data(block[0]), contents.data, contents.size)
    _directory_fill(block[0], &shape, &view)
    return 0


cdef inline Slice _first_key(Block *block) noexcept nogil:
    cdef BlockEntry entry
    entry_decode(block_data(block), block_data(block) + block.size, &entry)
    return slice_of(entry.delta, entry.unshared)


cdef inline int _beside_common(Block *block, Slice key) noexcept nogil:
    """Negative or positive when `key` sorts before or after all keys of the block because of what these have in common;
    0 when it has that too."""
    cdef uint64_t differs
    cdef Slice common
    if block.common == 0:
        return 0
    if block.common <= 8 and key.size >= 8:
        differs = (key_prefix(key.data, key.size) ^ block.head) >> (64 - 8 * block.common)
        if differs == 0:
            return 0
        return -1 if key_prefix(key.data, key.size) < block.head else 1
    common = _first_key(block)
    common.size = block.common
    if key.size >= common.size:
        key.size = common.size
        return compare_slices(key, common)
    return -1 if compare_slices(key, common) < 0 else 1


cdef inline uint32_t _key_prefix4(const uint8_t *data, size_t size) noexcept nogil:
    return <uint32_t>(key_prefix(data, size) >> 32)


cdef inline uint32_t _first_at_least(const uint32_t *prefixes, uint32_t count, uint32_t prefix) noexcept nogil:
    """The first index whose prefix is not below `prefix`: a binary search without branches; `count` is not 0."""
    cdef uint32_t low = 0
    cdef uint32_t half
    while count > 1:
        half = count >> 1
        low += half * <uint32_t>(prefixes[low + half - 1] < prefix)
        count -= half
    return low + <uint32_t>(prefixes[low] < prefix)


cdef inline BlockView directory_view(Block *block, const char *file, uint64_t offset) noexcept nogil:
    """The view of a block that has a directory: it was checked, and its far end is not touched again."""
    cdef BlockView view
    view.data = block_data(block)
    view.entries_end = view.data + block.entries_size
    view.restart_count = (block.size - block.entries_size - 4) // 4
    view.file = file
    view.offset = offset
    return view


cdef inline void _prefetch_entry(Block *block, uint32_t i) noexcept nogil:
    cdef const uint8_t *entry = block_data(block) + directory_offsets(block)[i]
    lsm_prefetch(entry + 64)
    lsm_prefetch(entry + 128)


cdef inline void directory_ask(Block *block, Slice key) noexcept nogil:
    """Have the entry that a search for `key` will come to brought into the processor's cache."""
    cdef uint32_t low
    if block.count == 0 or key.size < block.common:
        return
    low = _first_at_least(directory_prefixes(block), block.count,
                          _key_prefix4(key.data + block.common, key.size - block.common))
    if low < block.count:
        lsm_prefetch(block_data(block) + directory_offsets(block)[low])
        _prefetch_entry(block, low)


cdef inline uint32_t directory_start(Block *block, uint32_t i, uint8_t *key) noexcept nogil:
    """Put what is known here of how key i begins at `key`, where there is room for DIRECTORY_START_BYTES: so many bytes are
    right, as far as the key goes. Needs no look at any entry."""
    if block.common > 8:
        return 0
    lsm_store_big64(key, block.head)
    lsm_store_big32(key + block.common, directory_prefixes(block)[i])
    return block.common + DIRECTORY_PREFIX_BYTES


cdef inline bint directory_seek(Block *block, Slice key, uint32_t *index) noexcept nogil:
    """The first entry whose key is at or after `key`, or some entry before that which is close to it; `count` when all
    are before it. False when too many entries look alike: then search by the restart points."""
    cdef const uint32_t *prefixes = directory_prefixes(block)
    cdef uint32_t prefix
    cdef uint32_t low
    cdef int beside = _beside_common(block, key)
    if beside != 0:
        index[0] = 0 if beside < 0 else block.count
        return True
    prefix = _key_prefix4(key.data + block.common, key.size - block.common)
    low = _first_at_least(prefixes, block.count, prefix)
    index[0] = low
    return low + DIRECTORY_TIES_MAX >= block.count or prefixes[low + DIRECTORY_TIES_MAX] != prefix


cdef inline int directory_get(Block *block, const BlockView *view, Slice key, uint64_t tag, bint *found, bint *past,
                              BlockEntry *hit, Fault *fault) noexcept nogil:
    """What `block_get` does, by the directory; `view` is `directory_view` of the block."""
    cdef const uint32_t *prefixes = directory_prefixes(block)
    cdef uint32_t prefix
    cdef uint32_t low
    cdef uint32_t end
    cdef int beside = _beside_common(block, key)
    found[0] = False
    past[0] = beside < 0
    if beside != 0:
        return 0
    prefix = _key_prefix4(key.data + block.common, key.size - block.common)
    low = _first_at_least(prefixes, block.count, prefix)
    if low == block.count:
        return 0
    if prefixes[low] != prefix:
        past[0] = True
        return 0
    _prefetch_entry(block, low)
    end = low + 1
    while end < block.count and prefixes[end] == prefix and end - low < DIRECTORY_TIES_MAX:
        end += 1
    if end - low == DIRECTORY_TIES_MAX:
        return block_get(view, key, tag, found, past, hit, fault)
    return block_get_from(view, view.data + directory_offsets(block)[low], key, tag, found, past, hit, fault)
