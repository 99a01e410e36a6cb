# cython: language_level=3
"""Arrow: columns handed to others by the Arrow C data interface (arrow.h), without a copy.

A column is an array of type binary, a chunk a struct of one or two of them ("key", "value"), no row ever null. Whoever
is handed a struct calls its `release` once, from any thread; it needs no GIL and no Python.

Owner: a struct owns what `private_data` points to, and holds a reference to its columns until it is released.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from lsm.core.column cimport Column, column_release, column_retain

cdef extern from "arrow.h" nogil:
    cdef struct ArrowSchema:
        const char *format
        const char *name
        const char *metadata
        int64_t flags
        int64_t n_children
        ArrowSchema **children
        ArrowSchema *dictionary
        void (*release)(ArrowSchema *) noexcept nogil
        void *private_data

    cdef struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void **buffers
        ArrowArray **children
        ArrowArray *dictionary
        void (*release)(ArrowArray *) noexcept nogil
        void *private_data

    cdef struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream *, ArrowSchema *out) noexcept
        int (*get_next)(ArrowArrayStream *, ArrowArray *out) noexcept
        const char *(*get_last_error)(ArrowArrayStream *) noexcept
        void (*release)(ArrowArrayStream *) noexcept
        void *private_data


cdef struct SchemaParts:
    ArrowSchema *children[2]
    ArrowSchema child[2]


cdef struct ArrayParts:
    Column *column
    const void *buffers[3]
    ArrowArray *children[2]
    ArrowArray child[2]


# ------------------------------------------------------------------------------------------------ types

cdef inline void _schema_release(ArrowSchema *self) noexcept nogil:
    cdef int64_t i
    for i in range(self.n_children):
        if self.children[i].release != NULL:
            self.children[i].release(self.children[i])
    free(self.private_data)
    self.release = NULL


cdef inline void arrow_column_schema(ArrowSchema *self, const char *name) noexcept nogil:
    memset(self, 0, sizeof(ArrowSchema))
    self.format = "z"
    self.name = name
    self.release = _schema_release


cdef inline int arrow_schema(ArrowSchema *self, bint keys, bint values) noexcept nogil:
    """The type of a chunk. -1 when there is no memory; then there is nothing to release."""
    cdef SchemaParts *parts = <SchemaParts *>calloc(1, sizeof(SchemaParts))
    memset(self, 0, sizeof(ArrowSchema))
    if parts == NULL:
        return -1
    self.format = "+s"
    self.name = ""
    self.private_data = parts
    self.children = parts.children
    self.release = _schema_release
    if keys:
        arrow_column_schema(&parts.child[0], "key")
        parts.children[0] = &parts.child[0]
        self.n_children = 1
    if values:
        arrow_column_schema(&parts.child[self.n_children], "value")
        parts.children[self.n_children] = &parts.child[self.n_children]
        self.n_children += 1
    return 0


# ------------------------------------------------------------------------------------------------ arrays

cdef inline void _array_release(ArrowArray *self) noexcept nogil:
    cdef ArrayParts *parts = <ArrayParts *>self.private_data
    cdef int64_t i
    for i in range(self.n_children):
        if self.children[i].release != NULL:        # not moved out by the one who has this
            self.children[i].release(self.children[i])
    column_release(parts.column)
    free(parts)
    self.release = NULL


cdef inline int arrow_column(ArrowArray *self, Column *column) noexcept nogil:
    """-1 when there is no memory; then there is nothing to release."""
    cdef ArrayParts *parts = <ArrayParts *>calloc(1, sizeof(ArrayParts))
    memset(self, 0, sizeof(ArrowArray))
    if parts == NULL:
        return -1
    column_retain(column)
    parts.column = column
    parts.buffers[1] = column.ends
    parts.buffers[2] = column.data
    self.length = <int64_t>column.count
    self.n_buffers = 3
    self.buffers = parts.buffers
    self.private_data = parts
    self.release = _array_release
    return 0


cdef inline int arrow_chunk(ArrowArray *self, Column *keys, Column *values) noexcept nogil:
    """A struct array of the columns that are there. -1 when there is no memory; then there is nothing to release."""
    cdef ArrayParts *parts = <ArrayParts *>calloc(1, sizeof(ArrayParts))
    cdef Column *column
    cdef int i
    memset(self, 0, sizeof(ArrowArray))
    if parts == NULL:
        return -1
    self.n_buffers = 1
    self.buffers = parts.buffers
    self.children = parts.children
    self.private_data = parts
    self.release = _array_release
    for i in range(2):
        column = values if i else keys
        if column == NULL:
            continue
        parts.children[self.n_children] = &parts.child[self.n_children]
        if arrow_column(&parts.child[self.n_children], column) != 0:
            _array_release(self)
            return -1
        self.n_children += 1
        self.length = <int64_t>column.count
    return 0
