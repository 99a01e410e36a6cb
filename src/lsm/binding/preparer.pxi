"""Preparer: the thread that prepares log and memory ahead of the writers of one store (core/preparer.pxd).

It holds what it works on, so that neither goes while it does. Threads: `attend` and `stop` under the write lock, or once
nobody writes any more.
"""
import atexit
import weakref

_preparers = weakref.WeakSet()


@atexit.register
def _stop_preparers():
    """No thread of ours outlives the interpreter. What is written after this prepares for itself."""
    cdef Preparer preparer
    for preparer in list(_preparers):
        with nogil:
            preparer_stop(preparer.work)


@cython.final
@cython.no_gc_clear         # __dealloc__ needs what it refers to
cdef class Preparer:
    cdef object __weakref__
    cdef c_preparer *work
    cdef Supply supply
    cdef SyncedFile log
    cdef Memtable memtable

    def __cinit__(self):
        self.work = preparer_new()
        if self.work == NULL:
            raise MemoryError
        self.supply.preparer = self.work
        preparer_assign(self.work, TASK_BLOCK, supply_prepare, &self.supply)
        _preparers.add(self)

    def __dealloc__(self):
        if self.work != NULL:
            with nogil:
                preparer_free(self.work)
        supply_free(&self.supply)

    cdef int attend(self, SyncedFile log, Memtable memtable) except -1:
        """Prepare for these from now on; for those before no more. None: for none. What was prepared ahead and not used
        is the next one's (a block) or stays (the end of a log)."""
        with nogil:                     # a disk may take its time over a chunk
            preparer_assign(self.work, TASK_LOG, NULL, NULL)
            preparer_assign(self.work, TASK_LINK, NULL, NULL)
        if self.log is not None:
            self.log.file.preparer = NULL
        if self.memtable is not None:
            memtable_supply(self.memtable.table, NULL)
        self.log, self.memtable = log, memtable
        if log is not None and log.file.env.prepare != NULL:
            preparer_assign(self.work, TASK_LOG, log.file.env.prepare, log.file)
            log.file.preparer = self.work
        if memtable is not None:
            preparer_assign(self.work, TASK_LINK, memtable_prepare, memtable.table)
            memtable_supply(memtable.table, &self.supply)
        return 0

    cdef int stop(self) except -1:
        self.attend(None, None)
        with nogil:
            preparer_stop(self.work)
        return 0
