# cython: language_level=3
"""Visible: what a reader at one moment may see of a merge: one version a key, none where it was deleted.

A moment is a sequence number: of each key the newest version at or below it counts. Forward, that is the first such
version met; backward, the last one, so a row going backward is gathered in buffers before it is shown.

Bounds: rows are within [lower, upper) where these are set; `start` and `stop` of a scan, inclusive or not, are turned
into this form by the caller.

Every move but `visible_init` answers 0, -1 with a Fault, or 1: so many entries that nobody may see were passed over (`steps`)
that the caller may want to look at something else before `visible_resume`.

Invariants: while `valid`, `key` and `value` are the row, borrowed until the next move. Going forward the merge stands
on the row; going backward it stands before the whole group of the row's key. A Fault leaves `valid` false.

Owner: owns its merge and buffers. Threads: one at a time.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from lsm.core.buffer cimport Buffer, buffer_free, buffer_set, buffer_slice
from lsm.core.coding cimport Slice
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.key cimport KIND_PUT, compare_slices, seek_tag, sequence_max, tag_kind, tag_sequence
from lsm.core.merge cimport (Merge, merge_close, merge_first, merge_last, merge_seek, merge_seek_before, merge_step,
                             merge_top)


ctypedef struct Visible:
    Merge merge
    uint64_t sequence               # the moment
    int64_t steps                   # entries that may be passed over before the caller is asked
    bint skipping                   # to resume with
    bint valid
    bint backward
    Slice key
    Slice value
    Buffer key_buffer               # the row's key: forward, saved when it is left; backward, the row itself
    Buffer value_buffer
    Buffer lower                    # inclusive
    Buffer upper                    # exclusive
    bint has_lower
    bint has_upper


cdef inline void visible_init(Visible *self, uint64_t sequence) noexcept nogil:
    """Needs `merge` initialised by the caller afterwards."""
    memset(self, 0, sizeof(Visible))
    self.sequence = sequence
    self.steps = <int64_t>0x7FFFFFFFFFFFFFFF


cdef inline void visible_close(Visible *self) noexcept nogil:
    merge_close(&self.merge)
    buffer_free(&self.key_buffer)
    buffer_free(&self.value_buffer)
    buffer_free(&self.lower)
    buffer_free(&self.upper)
    self.valid = False


cdef inline int _settle_forward(Visible *self, bint skipping, Fault *fault) noexcept nogil:
    """From where the merge stands on to the first visible row; `skipping`: none of the key in key_buffer."""
    cdef Cursor *top = merge_top(&self.merge)
    self.valid = False
    self.backward = False
    while top != NULL:
        if self.has_upper and compare_slices(top.key, buffer_slice(&self.upper)) >= 0:
            return 0
        if tag_sequence(top.tag) <= self.sequence:
            if not (skipping and compare_slices(top.key, buffer_slice(&self.key_buffer)) == 0):
                if tag_kind(top.tag) == KIND_PUT:
                    self.key = top.key
                    self.value = top.value
                    self.valid = True
                    return 0
                if buffer_set(&self.key_buffer, top.key) != 0:
                    return fault_memory(fault)
                skipping = True
        if merge_step(&self.merge, fault) != 0:
            return -1
        top = merge_top(&self.merge)
        self.steps -= 1
        if self.steps <= 0:
            self.skipping = skipping
            return 1
    return 0


cdef inline int _gather(Visible *self, Cursor *top, bint *shown, Fault *fault) noexcept nogil:
    """Going backward, take the group of one key: `shown` when its newest version at the moment is a put."""
    shown[0] = False
    if buffer_set(&self.key_buffer, top.key) != 0:
        return fault_memory(fault)
    while top != NULL and compare_slices(top.key, buffer_slice(&self.key_buffer)) == 0:
        if tag_sequence(top.tag) <= self.sequence:
            shown[0] = tag_kind(top.tag) == KIND_PUT
            if shown[0] and buffer_set(&self.value_buffer, top.value) != 0:
                return fault_memory(fault)
        if merge_step(&self.merge, fault) != 0:
            return -1
        top = merge_top(&self.merge)
    return 0


cdef inline int _settle_backward(Visible *self, Fault *fault) noexcept nogil:
    cdef Cursor *top = merge_top(&self.merge)
    cdef bint shown = False
    self.valid = False
    self.backward = True
    while top != NULL:
        if self.has_lower and compare_slices(top.key, buffer_slice(&self.lower)) < 0:
            return 0
        if _gather(self, top, &shown, fault) != 0:
            return -1
        if shown:
            self.key = buffer_slice(&self.key_buffer)
            self.value = buffer_slice(&self.value_buffer)
            self.valid = True
            return 0
        top = merge_top(&self.merge)
        self.steps -= 1
        if self.steps <= 0:
            return 1
    return 0


cdef inline int visible_resume(Visible *self, Fault *fault) noexcept nogil:
    """Go on with a move that answered 1."""
    if self.backward:
        return _settle_backward(self, fault)
    return _settle_forward(self, self.skipping, fault)


cdef inline int visible_seek(Visible *self, Slice key, Fault *fault) noexcept nogil:
    """To the first row at or after `key`."""
    self.valid = False
    if self.has_lower and compare_slices(key, buffer_slice(&self.lower)) < 0:
        key = buffer_slice(&self.lower)
    if merge_seek(&self.merge, key, seek_tag(self.sequence), fault) != 0:
        return -1
    return _settle_forward(self, False, fault)


cdef inline int visible_seek_before(Visible *self, Slice key, Fault *fault) noexcept nogil:
    """To the last row strictly before `key`."""
    self.valid = False
    if self.has_upper and compare_slices(key, buffer_slice(&self.upper)) > 0:
        key = buffer_slice(&self.upper)
    if merge_seek_before(&self.merge, key, seek_tag(sequence_max()), fault) != 0:
        return -1
    return _settle_backward(self, fault)


cdef inline int visible_first(Visible *self, Fault *fault) noexcept nogil:
    if self.has_lower:
        return visible_seek(self, buffer_slice(&self.lower), fault)
    self.valid = False
    if merge_first(&self.merge, fault) != 0:
        return -1
    return _settle_forward(self, False, fault)


cdef inline int visible_last(Visible *self, Fault *fault) noexcept nogil:
    if self.has_upper:
        return visible_seek_before(self, buffer_slice(&self.upper), fault)
    self.valid = False
    if merge_last(&self.merge, fault) != 0:
        return -1
    return _settle_backward(self, fault)


cdef inline int visible_next(Visible *self, Fault *fault) noexcept nogil:
    """To the row after this one. Only when valid."""
    if self.backward:
        if merge_seek(&self.merge, buffer_slice(&self.key_buffer), 0, fault) != 0:
            self.valid = False
            return -1
        return _settle_forward(self, True, fault)
    self.valid = False
    if buffer_set(&self.key_buffer, self.key) != 0:
        return fault_memory(fault)
    if merge_step(&self.merge, fault) != 0:
        return -1
    return _settle_forward(self, True, fault)


cdef inline int visible_prev(Visible *self, Fault *fault) noexcept nogil:
    """To the row before this one. Only when valid."""
    self.valid = False
    if not self.backward:
        if buffer_set(&self.key_buffer, self.key) != 0:
            return fault_memory(fault)
        if merge_seek_before(&self.merge, buffer_slice(&self.key_buffer), seek_tag(sequence_max()), fault) != 0:
            return -1
    return _settle_backward(self, fault)
