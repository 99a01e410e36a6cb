# cython: language_level=3
"""RunCursor: one cursor over a sorted run of tables whose key ranges are disjoint (a level below the first).

At most one table of the run has a cursor open at a time. Moving off its end goes on in its neighbour.

Owner: owns the cursor of the table it is in; borrows run and tables. Threads: one at a time.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from lsm.core.coding cimport Slice
from lsm.core.cursor cimport Cursor, Waiting
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.rows cimport Rows
from lsm.core.sources cimport Run, run_find
from lsm.core.table_cursor cimport TableCursor, table_cursor_follow, table_cursor_open, table_cursor_turn_to


cdef struct RunCursor:
    Cursor base
    const Run *run
    Cursor *inner                   # in table `index`, or NULL
    size_t index
    bint scan                       # passed on: read ahead, past the cache
    const Waiting *waiting          # passed on


cdef inline void _show(RunCursor *self) noexcept nogil:
    self.base.valid = self.inner.valid
    self.base.prefix = self.inner.prefix
    self.base.key = self.inner.key
    self.base.tag = self.inner.tag
    self.base.value = self.inner.value


cdef inline int _enter(RunCursor *self, size_t index, bint goes_on, Fault *fault) noexcept nogil:
    """Have a cursor in table `index` of the run, standing nowhere in particular; `goes_on`: from the table beside it."""
    cdef Cursor *inner
    self.base.valid = False
    if self.inner != NULL and self.index == index:
        return 0
    if self.inner != NULL and not goes_on:
        table_cursor_turn_to(self.inner, self.run.table[index])
        self.index = index
        return 0
    inner = table_cursor_open(self.run.table[index], self.scan)
    if inner == NULL:
        return fault_memory(fault)
    (<TableCursor *>inner).waiting = self.waiting
    if self.inner != NULL:
        table_cursor_follow(inner, self.inner)
        self.inner.close(self.inner)
    self.inner = inner
    self.index = index
    return 0


cdef inline int _settle_forward(RunCursor *self, int status, Fault *fault) noexcept nogil:
    """After a move within a table: past its end, go on at the head of the next."""
    self.base.valid = False
    while status == 0 and not self.inner.valid and self.index + 1 < self.run.count:
        status = _enter(self, self.index + 1, True, fault)
        if status == 0:
            status = self.inner.first(self.inner, fault)
    if status == 0:
        _show(self)
    return status


cdef inline int _settle_backward(RunCursor *self, int status, Fault *fault) noexcept nogil:
    self.base.valid = False
    while status == 0 and not self.inner.valid and self.index > 0:
        status = _enter(self, self.index - 1, True, fault)
        if status == 0:
            status = self.inner.last(self.inner, fault)
    if status == 0:
        _show(self)
    return status


cdef inline int run_cursor_seek(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    cdef size_t index = run_find(self.run, key)
    self.base.valid = False
    if index == self.run.count:
        return 0
    if _enter(self, index, False, fault) != 0:
        return -1
    return _settle_forward(self, self.inner.seek(self.inner, key, tag, fault), fault)


cdef inline int run_cursor_seek_before(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    cdef size_t index = run_find(self.run, key)
    self.base.valid = False
    if self.run.count == 0:
        return 0
    if index == self.run.count:
        index -= 1
    if _enter(self, index, False, fault) != 0:
        return -1
    return _settle_backward(self, self.inner.seek_before(self.inner, key, tag, fault), fault)


cdef inline int run_cursor_first(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    self.base.valid = False
    if self.run.count == 0:
        return 0
    if _enter(self, 0, False, fault) != 0:
        return -1
    return _settle_forward(self, self.inner.first(self.inner, fault), fault)


cdef inline int run_cursor_last(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    self.base.valid = False
    if self.run.count == 0:
        return 0
    if _enter(self, self.run.count - 1, False, fault) != 0:
        return -1
    return _settle_backward(self, self.inner.last(self.inner, fault), fault)


cdef inline int run_cursor_next(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    return _settle_forward(self, self.inner.next(self.inner, fault), fault)


cdef inline int run_cursor_prev(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    return _settle_backward(self, self.inner.prev(self.inner, fault), fault)


cdef inline int run_cursor_fill(Cursor *cursor, Rows *rows, Fault *fault) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    cdef int status = self.inner.fill(self.inner, rows, fault)
    return _settle_backward(self, status, fault) if rows.backward else _settle_forward(self, status, fault)


cdef inline void run_cursor_rest(Cursor *cursor) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    cursor.valid = False
    if self.inner != NULL:
        self.inner.rest(self.inner)


cdef inline void run_cursor_close(Cursor *cursor) noexcept nogil:
    cdef RunCursor *self = <RunCursor *>cursor
    if self.inner != NULL:
        self.inner.close(self.inner)
    free(self)


cdef inline Cursor *run_cursor_open(const Run *run, bint scan) noexcept nogil:
    """A cursor over the run, which must outlive it; NULL when there is no memory."""
    cdef RunCursor *self = <RunCursor *>calloc(1, sizeof(RunCursor))
    if self == NULL:
        return NULL
    self.run = run
    self.scan = scan
    self.base.source = self
    self.base.seek = run_cursor_seek
    self.base.seek_before = run_cursor_seek_before
    self.base.first = run_cursor_first
    self.base.last = run_cursor_last
    self.base.next = run_cursor_next
    self.base.prev = run_cursor_prev
    self.base.fill = run_cursor_fill
    self.base.rest = run_cursor_rest
    self.base.close = run_cursor_close
    return &self.base
