"""View: what readers see at one moment: memtables and tables, newest first (core/sources.pxd). Immutable.

It holds references to all of them, so whoever holds the view can read without a lock, whatever is flushed or compacted
meanwhile. Another state of the tree is another View.
"""
@cython.final
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

    cdef int cursors(self, Merge *merge) noexcept:
        """A cursor over every source, in one merge. -1 when there is no memory; then the merge is to be closed."""
        cdef size_t i
        cdef size_t many = self.sources.memtables + self.sources.youngs + self.sources.runs
        if merge_init(merge, <unsigned int>many) != 0:
            return -1
        for i in range(self.sources.memtables):
            if self.sources.memtable[i].entries == 0 and i > 0:
                continue
            if merge_add(merge, memtable_cursor(self.sources.memtable[i])) != 0:
                return -1
        for i in range(self.sources.youngs):
            if merge_add(merge, table_cursor_open(self.sources.young[i], False)) != 0:
                return -1
        for i in range(self.sources.runs):
            if merge_add(merge, run_cursor_open(&self.sources.run[i], False)) != 0:
                return -1
        return 0
