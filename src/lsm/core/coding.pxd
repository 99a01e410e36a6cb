# cython: language_level=3
"""Fixed and variable length integers, and the one bounds-checked way to read them back.

A `Slice` is borrowed bytes: whoever made it says how long they live. An `Input` is a Slice being consumed; every
`input_*` answers 0, or -1 without moving when the bytes are not all there, so that no length that came from a disk
is ever used before it was held against its container.

Varints: seven bits a byte, least significant first, high bit set on all but the last (at most 10 bytes for 64 bits,
5 for 32). Fixed integers: little-endian.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    VARINT32_MAX = 5
    VARINT64_MAX = 10


ctypedef struct Slice:
    const uint8_t *data
    size_t size


ctypedef struct Input:
    const uint8_t *at
    const uint8_t *end


cdef inline Slice slice_of(const void *data, size_t size) noexcept nogil:
    cdef Slice s
    s.data = <const uint8_t *>data
    s.size = size
    return s


cdef inline void put_fixed32(uint8_t *to, uint32_t value) noexcept nogil:
    to[0] = <uint8_t>value
    to[1] = <uint8_t>(value >> 8)
    to[2] = <uint8_t>(value >> 16)
    to[3] = <uint8_t>(value >> 24)


cdef inline uint32_t get_fixed32(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] | (<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16) | (<uint32_t>p[3] << 24)


cdef inline void put_fixed64(uint8_t *to, uint64_t value) noexcept nogil:
    put_fixed32(to, <uint32_t>value)
    put_fixed32(to + 4, <uint32_t>(value >> 32))


cdef inline uint64_t get_fixed64(const uint8_t *p) noexcept nogil:
    return <uint64_t>get_fixed32(p) | (<uint64_t>get_fixed32(p + 4) << 32)


cdef inline uint8_t *put_varint(uint8_t *to, uint64_t value) noexcept nogil:
    """Write `value` at `to` (room for VARINT64_MAX bytes) and answer the byte after it."""
    while value >= 0x80:
        to[0] = <uint8_t>(value | 0x80)
        value >>= 7
        to += 1
    to[0] = <uint8_t>value
    return to + 1


cdef inline size_t varint_size(uint64_t value) noexcept nogil:
    cdef size_t size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size


cdef inline Input input_of(const void *data, size_t size) noexcept nogil:
    cdef Input source
    source.at = <const uint8_t *>data
    source.end = source.at + size
    return source


cdef inline size_t input_left(Input *self) noexcept nogil:
    return <size_t>(self.end - self.at)


cdef inline int input_varint(Input *self, uint64_t *value) noexcept nogil:
    cdef const uint8_t *p = self.at
    cdef uint64_t result = 0
    cdef uint64_t byte
    cdef int shift = 0
    while p < self.end and shift <= 63:
        byte = p[0]
        p += 1
        if shift == 63 and byte > 1:
            return -1                   # more than 64 bits
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            value[0] = result
            self.at = p
            return 0
        shift += 7
    return -1


cdef inline int input_varint32(Input *self, uint32_t *value) noexcept nogil:
    cdef const uint8_t *start = self.at
    cdef uint64_t wide = 0
    if input_varint(self, &wide) != 0:
        return -1
    if wide > <uint64_t>0xFFFFFFFF:
        self.at = start
        return -1
    value[0] = <uint32_t>wide
    return 0


cdef inline int input_fixed32(Input *self, uint32_t *value) noexcept nogil:
    if input_left(self) < 4:
        return -1
    value[0] = get_fixed32(self.at)
    self.at += 4
    return 0


cdef inline int input_fixed64(Input *self, uint64_t *value) noexcept nogil:
    if input_left(self) < 8:
        return -1
    value[0] = get_fixed64(self.at)
    self.at += 8
    return 0


cdef inline int input_byte(Input *self, uint8_t *value) noexcept nogil:
    if self.at >= self.end:
        return -1
    value[0] = self.at[0]
    self.at += 1
    return 0


cdef inline int input_bytes(Input *self, uint64_t size, Slice *value) noexcept nogil:
    """The next `size` bytes, borrowed from the container."""
    if size > input_left(self):
        return -1
    value.data = self.at
    value.size = <size_t>size
    self.at += size
    return 0
