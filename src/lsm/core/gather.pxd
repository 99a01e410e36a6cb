# cython: language_level=3
"""Gathering: the rows of a range, many at a time, out of a merge (visible.pxd has them one at a time).

The source on top adds rows by itself until the next source's key, or the end of the range, is reached; so a comparison
in the heap is paid once a run of rows, not once a row.

Owner: borrows both. Threads: one at a time.
"""
from lsm.core.buffer cimport Buffer, buffer_slice
from lsm.core.coding cimport Slice
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.key cimport compare_slices, key_prefix, seek_tag, sequence_max
from lsm.core.merge cimport (Merge, merge_first, merge_last, merge_moved, merge_second, merge_seek, merge_seek_before,
                             merge_top)
from lsm.core.rows cimport Rows, rows_settle
from lsm.core.visible cimport Visible


cdef enum Gathered:
    GATHERED_ALL = 0                    # nothing behind these rows
    GATHERED_FULL = 1                   # no room for more
    GATHERED_PAUSED = 2                 # the steps are used up: give new ones and go on with the same Rows


cdef inline int gather_begin(Visible *self, bint backward, Fault *fault) noexcept nogil:
    """Go to the first entry of the range, or backward to the last. 0, or -1."""
    self.valid = False
    if backward:
        if not self.has_upper:
            return merge_last(&self.merge, fault)
        return merge_seek_before(&self.merge, buffer_slice(&self.upper), seek_tag(sequence_max()), fault)
    if not self.has_lower:
        return merge_first(&self.merge, fault)
    return merge_seek(&self.merge, buffer_slice(&self.lower), seek_tag(self.sequence), fault)


cdef inline bint _outside(const Visible *self, const Rows *rows, Slice key) noexcept nogil:
    if rows.backward:
        return self.has_lower and compare_slices(key, buffer_slice(&self.lower)) < 0
    return self.has_upper and compare_slices(key, buffer_slice(&self.upper)) >= 0


cdef inline void _bound(Visible *self, Rows *rows) noexcept nogil:
    """How far the top of the merge leads: up to the next source, or the end of the range if that comes first."""
    cdef const Cursor *second = merge_second(&self.merge)
    cdef const Buffer *limit = &self.lower if rows.backward else &self.upper
    cdef bint limited = self.has_lower if rows.backward else self.has_upper
    rows.bounded = limited or second != NULL
    if second != NULL and not (limited and _outside(self, rows, second.key)):
        rows.bound = second.key
        rows.bound_prefix = second.prefix
    elif limited:
        rows.bound = buffer_slice(limit)
        rows.bound_prefix = key_prefix(limit.data, limit.size)


cdef inline int gather(Visible *self, Rows *rows, Fault *fault) noexcept nogil:
    """Add rows until there is no room or the steps are used up. One of Gathered, or -1: then the rows before what is
    broken are in `rows`, and nothing comes after."""
    cdef Cursor *top
    while True:
        top = merge_top(&self.merge)
        if top == NULL or _outside(self, rows, top.key):
            return GATHERED_ALL if rows_settle(rows) == 0 else fault_memory(fault)
        _bound(self, rows)
        if top.fill(top, rows, fault) != 0:
            self.merge.size = 0
            rows.pending = False
            return -1
        merge_moved(&self.merge)
        if rows.full:
            return GATHERED_FULL
        if rows.steps <= 0:
            return GATHERED_PAUSED
