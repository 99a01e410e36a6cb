# cython: language_level=3
"""Buffer: bytes that grow, for a key or value that must outlive the move of the cursor it came from.

Owner: whoever holds the struct frees it. Threads: one at a time.
"""
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from lsm.core.coding cimport Slice, slice_of


ctypedef struct Buffer:
    uint8_t *data
    size_t size
    size_t room


cdef inline void buffer_init(Buffer *self) noexcept nogil:
    self.data = NULL
    self.size = 0
    self.room = 0


cdef inline void buffer_free(Buffer *self) noexcept nogil:
    free(self.data)
    buffer_init(self)


cdef inline int buffer_room(Buffer *self, size_t size) noexcept nogil:
    """Make room for `size` bytes in all, keeping what is there. -1 when there is no memory."""
    cdef size_t room = self.room
    cdef uint8_t *data
    if size <= room:
        return 0
    room = room * 2 if room * 2 > size else size
    if room < 64:
        room = 64
    data = <uint8_t *>realloc(self.data, room)
    if data == NULL:
        return -1
    self.data = data
    self.room = room
    return 0


cdef inline int buffer_set(Buffer *self, Slice bytes_) noexcept nogil:
    if buffer_room(self, bytes_.size) != 0:
        return -1
    if bytes_.size > 0:
        memcpy(self.data, bytes_.data, bytes_.size)
    self.size = bytes_.size
    return 0


cdef inline Slice buffer_slice(const Buffer *self) noexcept nogil:
    return slice_of(self.data, self.size)
