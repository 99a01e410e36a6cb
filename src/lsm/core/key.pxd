# cython: language_level=3
"""Internal keys: a user key, and a tag that says which write it was and of what kind.

tag := sequence << 8 | kind.  Order everywhere in the engine: user keys ascending by unsigned bytes, and for equal
user keys tags descending, so that the newest version of a key comes first. `SEEK_TAG(sequence)` is the tag to seek
with to find the newest version at or below that sequence number.

DO NOT CHANGE THE NUMBERS OF THE KINDS: they live on disk (docs/format-log.md, docs/format-table.md).
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

from lsm.core.coding cimport Slice

cdef extern from "lsm_bits.h" nogil:
    uint64_t lsm_load_big64(const void *p)


cdef enum Kind:
    KIND_DELETE = 0
    KIND_PUT = 1
    KIND_RANGE_DELETE = 2       # 2 to 5 are reserved: a reader that meets one refuses the file
    KIND_MERGE = 3
    KIND_BLOB = 4
    KIND_EXPIRING = 5


cdef enum:
    KEY_BYTES_MAX = 65535               # limits of the contract, checked before anything is written
    VALUE_BYTES_MAX = 134217728         # 128 MiB


cdef inline uint64_t tag_of(uint64_t sequence, int kind) noexcept nogil:
    return (sequence << 8) | <uint64_t>kind


cdef inline uint64_t tag_sequence(uint64_t tag) noexcept nogil:
    return tag >> 8


cdef inline int tag_kind(uint64_t tag) noexcept nogil:
    return <int>(tag & 0xFF)


cdef inline uint64_t seek_tag(uint64_t sequence) noexcept nogil:
    return (sequence << 8) | 0xFF


cdef inline uint64_t sequence_max() noexcept nogil:
    return (<uint64_t>1 << 56) - 1


cdef inline uint64_t key_prefix(const uint8_t *data, size_t size) noexcept nogil:
    """The first eight bytes as a big-endian number, zero-filled: orders as the keys do until it is equal."""
    cdef uint64_t prefix = 0
    cdef size_t i
    if size >= 8:
        return lsm_load_big64(data)
    for i in range(size):
        prefix |= <uint64_t>data[i] << (56 - 8 * i)
    return prefix


cdef inline int compare_keys(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) noexcept nogil:
    """Negative, zero or positive, as a sorts before, with or after b."""
    cdef int order = 0
    cdef size_t common = a_size if a_size < b_size else b_size
    if common > 0:
        order = memcmp(a, b, common)
    if order != 0:
        return order
    return (a_size > b_size) - (a_size < b_size)


cdef inline int compare_slices(Slice a, Slice b) noexcept nogil:
    return compare_keys(a.data, a.size, b.data, b.size)


cdef inline int compare_internal(Slice a, uint64_t a_tag, Slice b, uint64_t b_tag) noexcept nogil:
    cdef int order = compare_keys(a.data, a.size, b.data, b.size)
    if order != 0:
        return order
    return (a_tag < b_tag) - (a_tag > b_tag)
