# cython: language_level=3
"""Buffer: bytes that grow. Growing may move them, so nothing borrowed from a Buffer outlives the next append.

A Buffer starts as all zeros (`buffer_init`) and owns its bytes until `buffer_free`. One thread at a time.
"""
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from lsm.core.coding cimport Slice, slice_of


ctypedef struct Buffer:
    uint8_t *data
    size_t size
    size_t capacity


cdef inline void buffer_init(Buffer *self) noexcept nogil:
    self.data = NULL
    self.size = 0
    self.capacity = 0


cdef inline void buffer_free(Buffer *self) noexcept nogil:
    free(self.data)
    buffer_init(self)


cdef inline void buffer_trim(Buffer *self, size_t most) noexcept nogil:
    """Empty it, and keep its memory only where that is not more than so many bytes."""
    self.size = 0
    if self.capacity > most:
        buffer_free(self)


cdef inline int buffer_reserve(Buffer *self, size_t more) noexcept nogil:
    """Room for `more` bytes after the present ones: 0, or -1 when there is no memory."""
    cdef size_t wanted
    cdef void *moved
    if self.data != NULL and more <= self.capacity - self.size:
        return 0
    if more > (<size_t>-1) // 4 - self.size:
        return -1
    wanted = self.size + more + 64
    if wanted < self.capacity + self.capacity // 2:
        wanted = self.capacity + self.capacity // 2
    moved = realloc(self.data, wanted)
    if moved == NULL:
        return -1
    self.data = <uint8_t *>moved
    self.capacity = wanted
    return 0


cdef inline int buffer_append(Buffer *self, const void *data, size_t size) noexcept nogil:
    if buffer_reserve(self, size) != 0:
        return -1
    if size > 0:
        memcpy(self.data + self.size, data, size)
        self.size += size
    return 0


cdef inline int buffer_set(Buffer *self, Slice bytes_) noexcept nogil:
    """Hold a copy of these bytes instead of the present ones."""
    self.size = 0
    return buffer_append(self, bytes_.data, bytes_.size)


cdef inline Slice buffer_slice(const Buffer *self) noexcept nogil:
    return slice_of(self.data, self.size)
