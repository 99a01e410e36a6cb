# cython: language_level=3
"""Cursor: the one interface of every sorted source (memtable, block, table, level, merge).

A Cursor stands on one entry, or on none (`valid` false). What it stands on is in the struct itself, so that a merge
compares two sources without calling either. `key` and `value` are borrowed and live until this cursor moves or is
closed, and as long as its source does.

Protocol. `seek(key, tag)` goes to the first entry at or after (key, tag) in internal order (key.pxd), `seek_before`
to the last entry strictly before it; `first`, `last`, `next`, `prev` as named; `next` and `prev` only when valid.
Each answers 0 (then `valid` says whether there is an entry) or -1 with the Fault filled (then `valid` is false:
damage never looks like the end). `close` frees what the source allocated for this cursor; it may be called once.

`fill`, of those sources that a scan walks, adds rows to a Rows (rows.pxd) from where the cursor stands on, as long as
it leads, has room and has steps; it may stop sooner, but treats at least the entry it stands on, unless that has no
room. It leaves the cursor on the first entry not treated, or on none at its end; when `rows.full` it may also be the
last one treated, as treating an entry twice changes nothing.

`rest`, of those that a reader walks, lets go of what a cursor holds beside itself; it stands nowhere then.

Threads: a cursor belongs to one thread at a time.
"""
from libc.stdint cimport uint64_t

from lsm.core.coding cimport Slice
from lsm.core.fault cimport Fault
from lsm.core.rows cimport Rows

# What a cursor calls around waiting for a disk, so that whoever walks it lets go of what others need meanwhile (the GIL).
ctypedef struct Waiting:
    void *(*begin)() noexcept nogil
    void (*end)(void *state) noexcept nogil

cdef struct Cursor

ctypedef int (*cursor_seek_function)(Cursor *self, Slice key, uint64_t tag, Fault *fault) noexcept nogil
ctypedef int (*cursor_move_function)(Cursor *self, Fault *fault) noexcept nogil
ctypedef int (*cursor_fill_function)(Cursor *self, Rows *rows, Fault *fault) noexcept nogil
ctypedef void (*cursor_close_function)(Cursor *self) noexcept nogil

cdef struct Cursor:
    bint valid
    uint64_t prefix         # key_prefix(key): most comparisons end here
    Slice key
    uint64_t tag
    Slice value
    void *source            # the implementation's own state
    cursor_seek_function seek
    cursor_seek_function seek_before
    cursor_move_function first
    cursor_move_function last
    cursor_move_function next
    cursor_move_function prev
    cursor_fill_function fill   # NULL: not walked by scans
    cursor_close_function rest  # NULL: not walked by readers
    cursor_close_function close
