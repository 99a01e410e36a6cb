"""View: what readers see at one moment: memtables and tables, newest first (core/sources.pxd). Immutable.

It holds references to all of them, so whoever holds the view can read without a lock, whatever is flushed or compacted
meanwhile. Another state of the tree is another View.

One Walk rests here between readers (core/walk.pxd), so that a short scan need not make cursors and free them; it holds
nothing that the view does not, and goes with it. It changes hands under a guard that the callers share.
"""
cdef extern from "Python.h" nogil:
    void *_let_gil_go "PyEval_SaveThread"()
    void _take_gil_back "PyEval_RestoreThread"(void *state)


cdef void *_begin_waiting() noexcept nogil:
    return _let_gil_go()


cdef void _end_waiting(void *state) noexcept nogil:
    _take_gil_back(state)


cdef Waiting _without_gil               # for cursors that are walked with the GIL held
_without_gil.begin = _begin_waiting
_without_gil.end = _end_waiting


@cython.final
@cython.no_gc_clear         # __dealloc__ needs what it refers to
cdef class View:
    cdef readonly Directory directory
    cdef readonly tuple memtables           # newest first
    cdef readonly tuple levels              # level 0 newest first, deeper ones ascending
    cdef Sources sources
    cdef Walk *resting                      # of the last reader that was done with it, or NULL

    def __init__(self, Directory directory not None, tuple memtables not None, tuple levels not None):
        cdef tuple deeper = tuple(filter(None, levels[1:]))
        cdef tuple young = levels[0] if levels else ()
        cdef tuple level
        cdef size_t i
        cdef size_t j
        self.directory = directory
        self.memtables = memtables
        self.levels = levels
        if sources_init(&self.sources, len(memtables), len(young), len(deeper)) != 0:
            raise MemoryError
        for i in range(<size_t>len(memtables)):
            self.sources.memtable[i] = (<Memtable?>memtables[i]).table
        for i in range(<size_t>len(young)):
            self.sources.young[i] = (<Table?>young[i]).table
        for i in range(<size_t>len(deeper)):
            level = deeper[i]
            if run_init(&self.sources.run[i], len(level)) != 0:
                raise MemoryError
            for j in range(<size_t>len(level)):
                self.sources.run[i].table[j] = (<Table?>level[j]).table

    def __dealloc__(self):
        walk_free(self.resting)
        sources_free(&self.sources)

    cdef inline int lookup(self, Slice key, uint64_t sequence, Lookup *found) except -1:
        """Find the newest entry; the GIL is given away only when the disk has to be read."""
        cdef Fault fault
        cdef int status = sources_find(&self.sources, key, sequence, False, found, &fault)
        if status == 0 and found.kind == LOOKUP_WOULD_READ:
            with nogil:
                status = sources_find(&self.sources, key, sequence, True, found, &fault)
        if status != 0:
            raise_fault(&fault, self.directory.path)
        return 0

    cdef int lookup_many(self, Wanted *wanted, size_t count, uint64_t sequence) except -1:
        """The same for up to MANY_MAX keys; those whose blocks have to be read are read one after the other."""
        cdef Fault fault
        cdef size_t i
        cdef size_t reads = 0
        cdef int status = sources_find_many(&self.sources, wanted, count, sequence, &fault)
        if status == 0:
            for i in range(count):
                reads += wanted[i].found.kind == LOOKUP_WOULD_READ
        if reads > 0:
            with nogil:
                for i in range(count):
                    if wanted[i].found.kind == LOOKUP_WOULD_READ and status == 0:
                        status = sources_find(&self.sources, wanted[i].key, sequence, True, &wanted[i].found, &fault)
        if status != 0:
            raise_fault(&fault, self.directory.path)
        return 0

    cdef int cursors(self, Merge *merge, const Waiting *waiting) noexcept:
        return walk_cursors(merge, &self.sources, waiting)

    cdef Walk *walk(self, lsm_guard *guard) noexcept:
        """Cursors over every source: those that rest here, or new ones. NULL when there is no memory."""
        cdef Walk *walk
        lsm_guard_lock(guard)
        walk = self.resting
        self.resting = NULL
        lsm_guard_unlock(guard)
        walk = walk_again(walk, &self.sources)
        return walk if walk != NULL else walk_open(&self.sources, &_without_gil)

    cdef void leave(self, Walk *walk, lsm_guard *guard) noexcept:
        """Take back what `walk` gave out: one of them rests until it is wanted again or the view goes."""
        walk_rest(walk)
        lsm_guard_lock(guard)
        walk, self.resting = self.resting, walk
        lsm_guard_unlock(guard)
        walk_free(walk)
