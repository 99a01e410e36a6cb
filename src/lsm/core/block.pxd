# cython: language_level=3
"""BlockView: the contents of one data block, read where they lie (docs/format-table.md).

`block_view` checks the frame (restart count and array within the contents); every entry is checked against the
entries' end when it is decoded. A fault names the file and the offset of the block in it.

`block_get` searches without building keys: it carries how many bytes of the wanted key the entry before agreed with,
and an entry that shares more than that with its neighbour needs no look at all.

Owner: a view borrows the contents. Threads: immutable.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from lsm.core.coding cimport Input, Slice, get_fixed32, input_varint, input_varint32, slice_of
from lsm.core.fault cimport Fault, fault_corrupt
from lsm.core.key cimport KEY_BYTES_MAX, KIND_PUT, compare_internal

cdef extern from "lsm_bits.h" nogil:
    bint lsm_likely(bint x)
    bint lsm_unlikely(bint x)
    uint64_t lsm_load_big64(const void *p)


ctypedef struct BlockView:
    const uint8_t *data
    const uint8_t *entries_end          # where the restart array begins
    uint32_t restart_count
    const char *file                    # for faults
    uint64_t offset


ctypedef struct BlockEntry:
    uint32_t shared
    uint32_t unshared
    uint64_t tag
    const uint8_t *delta                # the unshared key bytes
    Slice value


cdef inline int block_fault(const BlockView *self, Fault *fault, const char *detail) noexcept nogil:
    return fault_corrupt(fault, self.file, self.offset, detail)


cdef inline int block_view(BlockView *self, Slice contents, const char *file, uint64_t offset,
                           Fault *fault) noexcept nogil:
    cdef uint64_t count
    self.file = file
    self.offset = offset
    if contents.size < 8 or contents.size > <size_t>0xFFFFFFFF:
        return block_fault(self, fault, "data block: impossible size")
    count = get_fixed32(contents.data + contents.size - 4)
    if count == 0 or count > (contents.size - 4) // 4:
        return block_fault(self, fault, "data block: restart count does not fit the block")
    self.data = contents.data
    self.entries_end = contents.data + (contents.size - 4 - 4 * <size_t>count)
    self.restart_count = <uint32_t>count
    if get_fixed32(self.entries_end) != 0 or self.entries_end == self.data:
        return block_fault(self, fault, "data block: first restart point is not the first entry")
    return 0


cdef inline int _tag_slow(const uint8_t **at, const uint8_t *end, uint64_t *tag) noexcept nogil:
    cdef Input source
    source.at = at[0]
    source.end = end
    if input_varint(&source, tag) != 0:
        return -1
    at[0] = source.at
    return 0


cdef inline int _sizes_slow(const uint8_t **at, const uint8_t *end, BlockEntry *entry,
                            uint32_t *value_size) noexcept nogil:
    cdef Input source
    source.at = at[0]
    source.end = end
    if input_varint32(&source, &entry.shared) != 0 or input_varint32(&source, &entry.unshared) != 0:
        return -1
    if input_varint32(&source, value_size) != 0:
        return -1
    at[0] = source.at
    return 0


cdef inline const uint8_t *entry_decode(const uint8_t *at, const uint8_t *end, BlockEntry *entry) noexcept nogil:
    """The byte after the entry at `at`, or NULL when it is not one that lies wholly before `end`. Kinds unknown to
    this version are refused here, so nothing above meets one."""
    cdef uint32_t value_size = 0
    cdef uint64_t tag = 0
    cdef uint64_t byte
    cdef int shift = 0
    cdef size_t left
    if lsm_unlikely(end - at < 4):
        return NULL
    if lsm_likely((at[0] | at[1] | at[2]) < 0x80):
        entry.shared = at[0]
        entry.unshared = at[1]
        value_size = at[2]
        at += 3
    elif _sizes_slow(&at, end, entry, &value_size) != 0:
        return NULL
    if lsm_likely(end - at >= 10):
        while True:
            byte = at[0]
            at += 1
            tag |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 56:              # nine bytes hold 63 bits: leave the rare rest to the checked way
                at -= 9
                tag = 0
                if _tag_slow(&at, end, &tag) != 0:
                    return NULL
                break
    elif _tag_slow(&at, end, &tag) != 0:
        return NULL
    left = <size_t>(end - at)
    if lsm_unlikely(entry.unshared > left or value_size > left - entry.unshared):
        return NULL
    if lsm_unlikely((tag & 0xFF) > KIND_PUT
                    or <uint64_t>entry.shared + entry.unshared > <uint64_t>KEY_BYTES_MAX):
        return NULL
    entry.tag = tag
    entry.delta = at
    entry.value.data = at + entry.unshared
    entry.value.size = value_size
    return at + entry.unshared + value_size


cdef inline const uint8_t *block_restart(const BlockView *self, uint32_t index, BlockEntry *entry,
                                         const uint8_t **after) noexcept nogil:
    """Where restart point `index` lies, its entry decoded; NULL when there is no whole entry with its own key."""
    cdef uint32_t at = get_fixed32(self.entries_end + 4 * <size_t>index)
    if at >= <size_t>(self.entries_end - self.data):
        return NULL
    after[0] = entry_decode(self.data + at, self.entries_end, entry)
    if after[0] == NULL or entry.shared != 0:
        return NULL
    return self.data + at


cdef inline int block_seek_restart(const BlockView *self, Slice key, uint64_t tag, uint32_t *index,
                                   Fault *fault) noexcept nogil:
    """The last restart point whose entry is before (key, tag), or 0 when none is."""
    cdef uint32_t low = 0
    cdef uint32_t high = self.restart_count - 1
    cdef uint32_t middle
    cdef BlockEntry entry
    cdef const uint8_t *after = NULL
    while low < high:
        middle = low + (high - low + 1) // 2
        if block_restart(self, middle, &entry, &after) == NULL:
            return block_fault(self, fault, "data block: bad restart point")
        if compare_internal(slice_of(entry.delta, entry.unshared), entry.tag, key, tag) < 0:
            low = middle
        else:
            high = middle - 1
    index[0] = low
    return 0


cdef inline size_t _agreeing(const uint8_t *a, const uint8_t *b, size_t most) noexcept nogil:
    cdef size_t i = 0
    while i + 8 <= most and lsm_load_big64(a + i) == lsm_load_big64(b + i):
        i += 8
    while i < most and a[i] == b[i]:
        i += 1
    return i


cdef inline int block_get_from(const BlockView *self, const uint8_t *at, Slice key, uint64_t tag, bint *found,
                               bint *past, BlockEntry *hit, Fault *fault) noexcept nogil:
    """The first entry at or after (key, tag), if its key is `key`, searched from the entry at `at`: one that is not
    after a version of `key`, and of whose key the bytes it shares with the entry before are known to be those of `key`.
    `past` tells that the answer is certain: that an entry at or after it was met, so that no later block need be asked.
    """
    cdef const uint8_t *after = entry_decode(at, self.entries_end, hit)
    cdef size_t agreed                  # bytes of `key` that the entry before begins with
    cdef size_t before                  # size of the key stood on
    cdef size_t common, most
    found[0] = False
    past[0] = True
    if lsm_unlikely(after == NULL):
        return block_fault(self, fault, "data block: bad entry")
    if hit.shared > key.size:
        return 0                        # a longer key, that begins with `key`
    agreed = hit.shared
    while True:
        before = <size_t>hit.shared + hit.unshared
        if hit.shared <= agreed:        # else it differs from `key` where its neighbour did, which was before `key`
            most = key.size - hit.shared
            if hit.unshared < most:
                most = hit.unshared
            common = _agreeing(hit.delta, key.data + hit.shared, most)
            agreed = hit.shared + common
            if common < most:
                if hit.delta[common] > key.data[agreed]:
                    return 0
            elif before > key.size:
                return 0
            elif before == key.size and hit.tag <= tag:
                found[0] = True
                return 0
        if after == self.entries_end:
            past[0] = False
            return 0
        after = entry_decode(after, self.entries_end, hit)
        if lsm_unlikely(after == NULL or hit.shared > before):
            return block_fault(self, fault, "data block: bad entry")


cdef inline int block_get(const BlockView *self, Slice key, uint64_t tag, bint *found, bint *past,
                          BlockEntry *hit, Fault *fault) noexcept nogil:
    """The first entry at or after (key, tag), if its key is `key`; `past` as above."""
    cdef const uint8_t *at
    cdef const uint8_t *after = NULL
    cdef uint32_t index = 0
    if self.restart_count > 1 and block_seek_restart(self, key, tag, &index, fault) != 0:
        return -1
    at = block_restart(self, index, hit, &after)
    if at == NULL:
        return block_fault(self, fault, "data block: bad restart point")
    return block_get_from(self, at, key, tag, found, past, hit, fault)
