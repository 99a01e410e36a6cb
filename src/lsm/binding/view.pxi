"""View: what readers see at one moment: memtables and tables, newest first (core/sources.pxd). Immutable.

It holds references to all of them, so whoever holds the view can read without a lock, whatever is flushed or compacted
meanwhile. Another state of the tree is another View.
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

    def __init__(self, Directory directory not None, tuple memtables not None, tuple levels not None):
        cdef tuple deeper = tuple([level for level in levels[1:] if level])
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
        """A cursor over every source, in one merge; they call `waiting` around reads of the disk. -1 when there
        is no memory; then the merge is to be closed."""
        cdef c_cursor *cursor
        cdef size_t i
        cdef size_t many = self.sources.memtables + self.sources.youngs + self.sources.runs
        if merge_init(merge, <unsigned int>many) != 0:
            return -1
        for i in range(self.sources.memtables):
            if lsm_load_relaxed(&self.sources.memtable[i].entries) == 0:      # what is added later is not of the reader's moment
                continue
            if merge_add(merge, memtable_cursor(self.sources.memtable[i])) != 0:
                return -1
        for i in range(self.sources.youngs):
            cursor = table_cursor_open(self.sources.young[i], False)
            if merge_add(merge, cursor) != 0:
                return -1
            (<TableCursor *>cursor).waiting = waiting
        for i in range(self.sources.runs):
            cursor = run_cursor_open(&self.sources.run[i], False)
            if merge_add(merge, cursor) != 0:
                return -1
            (<RunCursor *>cursor).waiting = waiting
        return 0
