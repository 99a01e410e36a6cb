# cython: language_level=3
"""Walk: what a reader goes through a view with: cursors over every source, merged, at one moment and within bounds.

To make and free cursors costs more than a short scan with them. So a Walk that is done with may rest and be begun
again, for the same sources: resting it holds no block, nothing read ahead and little memory, only its cursors.

Owner: owns its cursors and buffers until `walk_free`; borrows the sources. Threads: one at a time.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from lsm.core.buffer cimport buffer_trim
from lsm.core.cursor cimport Cursor, Waiting
from lsm.core.memtable cimport memtable_order
from lsm.core.memtable_cursor cimport MemtableCursor, memtable_cursor
from lsm.core.merge cimport Merge, merge_add, merge_init, merge_rest
from lsm.core.run_cursor cimport RunCursor, run_cursor_open
from lsm.core.sources cimport Sources
from lsm.core.table_cursor cimport TableCursor, table_cursor_open
from lsm.core.visible cimport Visible, visible_close, visible_init

cdef extern from "lsm_bits.h" nogil:
    uint64_t lsm_load_relaxed(const uint64_t *p)


cdef enum:
    WALK_REST_BYTES = 1024          # of each buffer that rests


cdef struct Walk:
    Visible rows
    Waiting waiting                 # what the cursors call around reads of the disk
    size_t memtables                # how many of the cursors are of memtables: the first ones


cdef inline void walk_free(Walk *self) noexcept nogil:
    if self != NULL:
        visible_close(&self.rows)
        free(self)


cdef inline size_t _memtables_in_use(const Sources *sources) noexcept nogil:
    cdef size_t count = 0
    cdef size_t i
    for i in range(sources.memtables):
        count += lsm_load_relaxed(&sources.memtable[i].entries) != 0
    return count


cdef inline int walk_cursors(Merge *merge, const Sources *sources, const Waiting *waiting) noexcept nogil:
    """A cursor over every source, those of memtables first, in one merge; they call `waiting` around reads of the disk. -1
    when there is no memory; then the merge is to be closed."""
    cdef Cursor *cursor
    cdef size_t i
    if merge_init(merge, <unsigned int>(sources.memtables + sources.youngs + sources.runs)) != 0:
        return -1
    for i in range(sources.memtables):
        if lsm_load_relaxed(&sources.memtable[i].entries) == 0:     # what is added later is not of the reader's moment
            continue
        if merge_add(merge, memtable_cursor(sources.memtable[i])) != 0:
            return -1
    for i in range(sources.youngs):
        cursor = table_cursor_open(sources.young[i], False)
        if merge_add(merge, cursor) != 0:
            return -1
        (<TableCursor *>cursor).waiting = waiting
    for i in range(sources.runs):
        cursor = run_cursor_open(&sources.run[i], False)
        if merge_add(merge, cursor) != 0:
            return -1
        (<RunCursor *>cursor).waiting = waiting
    return 0


cdef inline Walk *walk_open(const Sources *sources, const Waiting *waiting) noexcept nogil:
    """Cursors over every source, standing nowhere; NULL when there is no memory. The sources must outlive it."""
    cdef Walk *self = <Walk *>calloc(1, sizeof(Walk))
    if self == NULL:
        return NULL
    self.waiting = waiting[0]
    visible_init(&self.rows, 0)
    if walk_cursors(&self.rows.merge, sources, &self.waiting) != 0:
        walk_free(self)
        return NULL
    self.memtables = self.rows.merge.children - sources.youngs - sources.runs
    return self


cdef inline Walk *walk_again(Walk *self, const Sources *sources) noexcept nogil:
    """The same after it rested: NULL, and it is freed, when another memtable has come into use since."""
    cdef size_t i
    if self == NULL or self.memtables != _memtables_in_use(sources):
        walk_free(self)
        return NULL
    for i in range(self.memtables):
        memtable_order((<MemtableCursor *>self.rows.merge.child[i]).memtable)
    return self


cdef inline void walk_rest(Walk *self) noexcept nogil:
    """Let go of everything that is not of use for whatever comes next."""
    cdef Visible *rows = &self.rows
    merge_rest(&rows.merge)
    rows.valid = rows.has_lower = rows.has_upper = False
    rows.lower.size = rows.upper.size = 0
    buffer_trim(&rows.key_buffer, WALK_REST_BYTES)
    buffer_trim(&rows.value_buffer, WALK_REST_BYTES)
    buffer_trim(&rows.lower, WALK_REST_BYTES)
    buffer_trim(&rows.upper, WALK_REST_BYTES)
