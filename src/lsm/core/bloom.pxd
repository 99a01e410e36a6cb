# cython: language_level=3
"""Bloom: a filter over the user keys of one table, and the hash it is made of.

The filter is an array of lines of 64 bytes; a key owns one line and a few bits in it, so that a probe touches one
cache line. `bloom_may_contain` never answers no for a key that was added.

DO NOT CHANGE `hash64`, `_line_of` OR THE BITS: they live on disk (docs/format-table.md).

Owner: a Bloom borrows its lines; a BloomBuilder owns its hashes until `bloom_builder_free`.
Threads: a Bloom is immutable; a builder belongs to one thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from lsm.core.coding cimport get_fixed64

cdef extern from "lsm_bits.h" nogil:
    void lsm_prefetch(const void *p)


cdef enum:
    BLOOM_LINE_BYTES = 64
    BLOOM_LINE_BITS = 512
    BLOOM_PROBES_MAX = 16
    BLOOM_BITS_PER_KEY_MAX = 64


ctypedef struct Bloom:
    const uint8_t *lines
    uint64_t line_count     # 0: no filter, everything may be there
    int probes


ctypedef struct BloomBuilder:
    uint64_t *hashes
    size_t count
    size_t capacity


cdef inline uint64_t hash64(const uint8_t *data, size_t size) noexcept nogil:
    cdef uint64_t multiplier = <uint64_t>0x9E3779B97F4A7C15
    cdef uint64_t hash = <uint64_t>0x51ED270B9F3D2A4B ^ (<uint64_t>size * multiplier)
    cdef uint64_t tail = 0
    cdef size_t i
    while size >= 8:
        hash = (hash ^ get_fixed64(data)) * multiplier
        hash ^= hash >> 32
        data += 8
        size -= 8
    if size > 0:
        for i in range(size):
            tail |= <uint64_t>data[i] << (8 * i)
        hash = (hash ^ tail) * multiplier
        hash ^= hash >> 32
    hash *= <uint64_t>0xD6E8FEB86659FD93
    return hash ^ (hash >> 32)


cdef inline uint64_t _line_of(uint64_t hash, uint64_t line_count) noexcept nogil:
    return ((hash >> 32) * line_count) >> 32        # line_count < 2^32


cdef inline uint64_t _next_bits(uint64_t bits) noexcept nogil:
    return bits * <uint64_t>0xA0761D6478BD642F


cdef inline void bloom_ask(const Bloom *self, uint64_t hash) noexcept nogil:
    """Have the line of this hash brought into the processor's cache."""
    if self.line_count > 0:
        lsm_prefetch(self.lines + _line_of(hash, self.line_count) * BLOOM_LINE_BYTES)


cdef inline bint bloom_may_contain(const Bloom *self, uint64_t hash) noexcept nogil:
    cdef const uint8_t *line
    cdef uint64_t bits = hash
    cdef uint32_t bit
    cdef int i
    if self.line_count == 0:
        return True
    line = self.lines + _line_of(hash, self.line_count) * BLOOM_LINE_BYTES
    for i in range(self.probes):
        bits = _next_bits(bits)
        bit = <uint32_t>(bits >> 55)
        if (line[bit >> 3] >> (bit & 7)) & 1 == 0:
            return False
    return True


cdef inline void bloom_set(uint8_t *lines, uint64_t line_count, int probes, uint64_t hash) noexcept nogil:
    cdef uint8_t *line = lines + _line_of(hash, line_count) * BLOOM_LINE_BYTES
    cdef uint64_t bits = hash
    cdef uint32_t bit
    cdef int i
    for i in range(probes):
        bits = _next_bits(bits)
        bit = <uint32_t>(bits >> 55)
        line[bit >> 3] |= <uint8_t>(1 << (bit & 7))


cdef inline int bloom_probes(int bits_per_key) noexcept nogil:
    """bits per key times ln 2, rounded: the number that lets the fewest strangers through."""
    cdef int probes = (bits_per_key * 69 + 50) // 100
    if probes < 1:
        return 1
    return probes if probes < BLOOM_PROBES_MAX else BLOOM_PROBES_MAX


cdef inline uint64_t bloom_line_count(uint64_t keys, int bits_per_key, uint64_t bytes_max) noexcept nogil:
    """Lines of a filter of `keys` keys; 0 when no filter is wanted. A table too large for its filter gets a coarser one."""
    cdef uint64_t lines
    if keys == 0 or bits_per_key <= 0:
        return 0
    lines = (keys * <uint64_t>bits_per_key + BLOOM_LINE_BITS - 1) // BLOOM_LINE_BITS
    return lines if lines <= bytes_max // BLOOM_LINE_BYTES else bytes_max // BLOOM_LINE_BYTES


cdef inline void bloom_builder_init(BloomBuilder *self) noexcept nogil:
    self.hashes = NULL
    self.count = 0
    self.capacity = 0


cdef inline void bloom_builder_free(BloomBuilder *self) noexcept nogil:
    free(self.hashes)
    bloom_builder_init(self)


cdef inline int bloom_builder_add(BloomBuilder *self, uint64_t hash) noexcept nogil:
    """0, or -1 when there is no memory."""
    cdef size_t capacity
    cdef void *moved
    if self.count == self.capacity:
        capacity = self.capacity * 2 if self.capacity > 0 else 1024
        moved = realloc(self.hashes, capacity * sizeof(uint64_t))
        if moved == NULL:
            return -1
        self.hashes = <uint64_t *>moved
        self.capacity = capacity
    self.hashes[self.count] = hash
    self.count += 1
    return 0


cdef inline void bloom_builder_fill(BloomBuilder *self, uint8_t *lines, uint64_t line_count,
                                    int probes) noexcept nogil:
    """Build the filter in `lines` (line_count * BLOOM_LINE_BYTES bytes)."""
    cdef size_t i
    if line_count == 0:
        return
    memset(lines, 0, <size_t>line_count * BLOOM_LINE_BYTES)
    for i in range(self.count):
        bloom_set(lines, line_count, probes, self.hashes[i])
