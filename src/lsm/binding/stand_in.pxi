"""StandIn: a step of the main thread that another thread makes for it, where no signal handler can cut it in two.

Once the other thread runs neither waiting nor telling takes memory: else who waits for want of it would wait for ever.

Owners: both threads hold the object, and with it the lock; the last one frees it.
Threads: `make` is the other's, everything else the main thread's.
"""
cdef extern from "Python.h" nogil:
    ctypedef void *PyThread_type_lock
    enum:
        NOWAIT_LOCK
        PY_LOCK_ACQUIRED
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int mode)
    int PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int interruptible)
    void PyThread_release_lock(PyThread_type_lock lock)


cdef long long LOOK_MICROSECONDS = 500_000      # between two looks for signals, and whether this is the child of a fork by now


cdef class StandIn:
    cdef PyThread_type_lock unmade      # held until the step is made
    cdef lsm_atomic_int taken           # by who makes the step, or sees to it that nobody does
    cdef bint made                      # to its end
    cdef int process
    cdef object work
    cdef object raised                  # by the step; None also where there was no memory to catch it

    def __cinit__(self, work):
        self.work = work
        self.process = getpid()
        self.unmade = PyThread_allocate_lock()
        if self.unmade == NULL:
            raise MemoryError
        PyThread_acquire_lock(self.unmade, NOWAIT_LOCK)

    def __dealloc__(self):
        if self.unmade != NULL:
            PyThread_free_lock(self.unmade)

    def make(self, another, dict stand_ins):
        """The other thread: make the step; `stand_ins` says meanwhile for whom. Whatever raises is told, and `another` let go."""
        me = None
        try:
            if lsm_swap(&self.taken, 1):
                return
            me = PyThread_get_thread_ident()
            stand_ins[me] = another
            self.work()
            self.made = True
        except BaseException as error:
            self.raised = error
        finally:
            try:
                stand_ins.pop(me, None)
            finally:
                PyThread_release_lock(self.unmade)

    cdef bint call_off(self) noexcept:
        """Is nobody making the step? Then nobody will."""
        return not lsm_swap(&self.taken, 1)

    cdef int wait(self) except -1:
        """A while, or until a signal comes, or the step is made: is it? Raises what a signal handler does, before the wait."""
        cdef int status
        PyErr_CheckSignals()            # no other step of who waits would run a handler whose signal came before
        with nogil:
            status = PyThread_acquire_lock_timed(self.unmade, LOOK_MICROSECONDS, 1)
        return status == PY_LOCK_ACQUIRED
