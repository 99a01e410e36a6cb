# cython: language_level=3
"""Merge: many sorted cursors seen as one, forward and backward (a binary heap; Knuth, TAOCP 3, 5.4.1).

`merge_top` is the cursor that stands on the merged entry; NULL past either end. All versions of all keys come out, in
internal order: which of them a reader may see is visible.pxd's affair, which a compaction keeps is retain.pxd's.

Invariant: `heap` holds exactly the valid children, ordered for the current direction; going forward every child
stands at or after the top, going backward at or before it.

Owner: the merge closes its children. Threads: one at a time.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm.core.coding cimport Slice
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault
from lsm.core.key cimport compare_internal


ctypedef struct Merge:
    Cursor **child                  # all of them, `children` many, room for `room`
    Cursor **heap
    unsigned int children
    unsigned int room
    unsigned int size               # of the heap
    bint backward


cdef inline int merge_init(Merge *self, unsigned int room) noexcept nogil:
    """An empty merge with room for so many children. -1 when there is no memory."""
    memset(self, 0, sizeof(Merge))
    self.child = <Cursor **>malloc(2 * (room + 1) * sizeof(Cursor *))
    if self.child == NULL:
        return -1
    self.heap = self.child + room + 1
    self.room = room
    return 0


cdef inline int merge_add(Merge *self, Cursor *child) noexcept nogil:
    """Take ownership of `child`; NULL, as from a cursor that found no memory, is answered with -1."""
    if child == NULL:
        return -1
    self.child[self.children] = child
    self.children += 1
    return 0


cdef inline void merge_close(Merge *self) noexcept nogil:
    cdef unsigned int i
    for i in range(self.children):
        self.child[i].close(self.child[i])
    free(self.child)
    memset(self, 0, sizeof(Merge))


cdef inline void merge_rest(Merge *self) noexcept nogil:
    """Have every child let go of what it holds; what comes next is a seek, first or last."""
    cdef unsigned int i
    self.size = 0
    for i in range(self.children):
        self.child[i].rest(self.child[i])


cdef inline bint _sooner(const Merge *self, const Cursor *a, const Cursor *b) noexcept nogil:
    """Does a come out before b in the current direction?"""
    cdef int order
    if a.prefix != b.prefix:
        return (a.prefix < b.prefix) != self.backward
    order = compare_internal(a.key, a.tag, b.key, b.tag)
    return order > 0 if self.backward else order < 0


cdef inline void _sink(Merge *self, unsigned int at) noexcept nogil:
    """Restore the heap below `at`, the one place where it may be out of order."""
    cdef Cursor *moved = self.heap[at]
    cdef unsigned int down = 2 * at + 1
    while down < self.size:
        if down + 1 < self.size and _sooner(self, self.heap[down + 1], self.heap[down]):
            down += 1
        if not _sooner(self, self.heap[down], moved):
            break
        self.heap[at] = self.heap[down]
        at = down
        down = 2 * at + 1
    self.heap[at] = moved


cdef inline void _heapify(Merge *self) noexcept nogil:
    cdef unsigned int i
    self.size = 0
    for i in range(self.children):
        if self.child[i].valid:
            self.heap[self.size] = self.child[i]
            self.size += 1
    i = self.size // 2
    while i > 0:
        i -= 1
        _sink(self, i)


cdef inline Cursor *merge_top(const Merge *self) noexcept nogil:
    return self.heap[0] if self.size > 0 else NULL


cdef inline int merge_first(Merge *self, Fault *fault) noexcept nogil:
    cdef unsigned int i
    self.backward = False
    self.size = 0
    for i in range(self.children):
        if self.child[i].first(self.child[i], fault) != 0:
            return -1
    _heapify(self)
    return 0


cdef inline int merge_last(Merge *self, Fault *fault) noexcept nogil:
    cdef unsigned int i
    self.backward = True
    self.size = 0
    for i in range(self.children):
        if self.child[i].last(self.child[i], fault) != 0:
            return -1
    _heapify(self)
    return 0


cdef inline int merge_seek(Merge *self, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    """To the first entry at or after (key, tag), going forward from there."""
    cdef unsigned int i
    self.backward = False
    self.size = 0
    for i in range(self.children):
        if self.child[i].seek(self.child[i], key, tag, fault) != 0:
            return -1
    _heapify(self)
    return 0


cdef inline int merge_seek_before(Merge *self, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    """To the last entry before (key, tag), going backward from there."""
    cdef unsigned int i
    self.backward = True
    self.size = 0
    for i in range(self.children):
        if self.child[i].seek_before(self.child[i], key, tag, fault) != 0:
            return -1
    _heapify(self)
    return 0


cdef inline const Cursor *merge_second(const Merge *self) noexcept nogil:
    """What comes out next when the top is left aside; NULL when there is nothing else."""
    if self.size < 2:
        return NULL
    if self.size > 2 and _sooner(self, self.heap[2], self.heap[1]):
        return self.heap[2]
    return self.heap[1]


cdef inline void merge_moved(Merge *self) noexcept nogil:
    """Restore the order after the top cursor has been moved."""
    if not self.heap[0].valid:
        self.size -= 1
        self.heap[0] = self.heap[self.size]
    if self.size > 1:
        _sink(self, 0)


cdef inline int merge_step(Merge *self, Fault *fault) noexcept nogil:
    """To the next entry in the current direction. Only when there is a top."""
    cdef Cursor *top = self.heap[0]
    cdef int status = top.prev(top, fault) if self.backward else top.next(top, fault)
    if status != 0:
        self.size = 0
        return -1
    merge_moved(self)
    return 0
