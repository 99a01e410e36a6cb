# cython: language_level=3
"""Column: the bytes of many rows one after the other, and the offsets where they begin; counted by references.

It is what a Rows gathered, taken out of it. Python objects and Arrow arrays share it; the last to let go frees it, in
any thread, with or without the GIL, and whether the database is open or not.

Invariants: `ends` has count + 1 entries, the first 0, none below the one before; `data` is not NULL.
Threads: immutable; references may be taken and given back by any thread.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc

from lsm.core.buffer cimport Buffer, buffer_init

cdef extern from "lsm_bits.h" nogil:
    uint32_t _add32 "lsm_add"(uint32_t *p, uint32_t value)


ctypedef struct Column:
    uint32_t references
    uint8_t *data
    int32_t *ends
    size_t count


cdef inline Column *column_take(Buffer *bytes_, int32_t **ends, size_t count) noexcept nogil:
    """A column of its caller, made of these, which are empty afterwards. NULL when there is no memory; then they are
    as they were."""
    cdef Column *self = <Column *>calloc(1, sizeof(Column))
    cdef uint8_t *data
    cdef int32_t *fitting
    if self == NULL:
        return NULL
    data = <uint8_t *>realloc(bytes_.data, bytes_.size + 1)         # what was reserved and is not used goes back
    if data == NULL and bytes_.data == NULL:
        free(self)
        return NULL
    self.data = bytes_.data if data == NULL else data
    fitting = <int32_t *>realloc(ends[0], (count + 1) * sizeof(int32_t))
    self.ends = ends[0] if fitting == NULL else fitting
    self.references = 1
    self.count = count
    buffer_init(bytes_)
    ends[0] = NULL
    return self


cdef inline Column *column_empty() noexcept nogil:
    """A column of no rows; NULL when there is no memory."""
    cdef Buffer nothing
    cdef int32_t *ends = <int32_t *>calloc(1, sizeof(int32_t))
    cdef Column *self
    buffer_init(&nothing)
    if ends == NULL:
        return NULL
    self = column_take(&nothing, &ends, 0)
    free(ends)
    return self


cdef inline void column_retain(Column *self) noexcept nogil:
    _add32(&self.references, 1)


cdef inline void column_release(Column *self) noexcept nogil:
    if self != NULL and _add32(&self.references, <uint32_t>-1) == 1:
        free(self.data)
        free(self.ends)
        free(self)
