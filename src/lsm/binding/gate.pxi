"""Gate: what every operation of a store passes: is it open, may it write, must writers go slower; and the write lock.

It is the lowest of the layers of a store: Gate, GroupSync (sync.pxi), Writer (writer.pxi), Store (store.pxi). The Python half of a
database (tree/database.py) is a subclass of the last; the methods that only raise NotImplementedError are its to
write. Methods with an underscore are for it alone.

Invariants
- `gate` is zero whenever a write may just go ahead; it is the one thing the common path looks at.
- `failure` is the first error after which nothing is written any more.

Locks, always taken in this order: sync_lock, write_lock, then the Python half's install lock, then a memtable's own.
None of the first two is ever waited for while holding the GIL; a thread that holds the write lock may wait for the
GIL, since nobody who waits for the lock holds it.
"""
import _thread
import sys
import threading


cdef enum Shut:
    GATE_CLOSED = 1
    GATE_FORKED = 2
    GATE_READ_ONLY = 4
    GATE_FAILED = 8
    GATE_SLOW = 16
    GATE_SHUT = 3               # neither read nor written


GATE_CLOSED_FLAG = GATE_CLOSED
GATE_FORKED_FLAG = GATE_FORKED
GATE_SLOW_FLAG = GATE_SLOW
GATE_SHUT_FLAG = GATE_SHUT


def forked():
    """In the child of a fork: what was opened before is the parent's, and nothing of it is removed from here."""
    global fork_generation
    fork_generation += 1


cdef class Gate:
    cdef object __weakref__
    cdef lsm_atomic_int gate
    cdef pthread_mutex_t write_lock
    cdef pthread_mutex_t sync_lock
    cdef object failure                 # set once
    cdef lsm_atomic_int failing
    cdef lsm_atomic_ulong holder        # thread that calls Python with the write lock held, or 0
    cdef dict stand_ins                 # thread that works -> the one that waits for it (`_uninterrupted`)
    cdef pthread_mutex_t slow_lock      # guards what follows
    cdef double slow_rate               # bytes a second that writers may write while GATE_SLOW
    cdef double slow_debt
    cdef double slowed_seconds

    def __cinit__(self):
        self.gate = GATE_CLOSED
        self.stand_ins = {}
        pthread_mutex_init(&self.write_lock, NULL)
        pthread_mutex_init(&self.sync_lock, NULL)
        pthread_mutex_init(&self.slow_lock, NULL)

    def __dealloc__(self):
        pthread_mutex_destroy(&self.write_lock)
        pthread_mutex_destroy(&self.sync_lock)
        pthread_mutex_destroy(&self.slow_lock)

    def _rotate(self):
        """Put a new memtable and log in the place of the full one. Called under the write lock."""
        raise NotImplementedError

    def _must_not_rotate(self):
        """Is this thread in the middle of a change of the tree, and was called back from there?"""
        return False

    def _may_rotate(self):
        """May another memtable be filled, or must writers wait?"""
        raise NotImplementedError

    def _wait_for_room(self):
        """Wait until a memtable has been flushed, or raise what keeps it from being."""
        raise NotImplementedError

    def _flush_up_to(self, sequence):
        """Wait until every write up to `sequence` is in tables, or raise what keeps it from being."""
        raise NotImplementedError

    def _refuse(self):
        """Raise what the gate is closed for."""
        raise NotImplementedError

    cdef int check_open(self) except -1:
        """Raise when it is closed."""
        if self.gate & GATE_SHUT:
            self._refuse()
        return 0

    cdef inline int lock_writes(self) except -1:
        """Take the write lock, giving the GIL away only if it has to be waited for."""
        if pthread_mutex_trylock(&self.write_lock) != 0:
            self._check_entry()
            with nogil:
                pthread_mutex_lock(&self.write_lock)
        return 0

    def _check_entry(self):
        """Refuse who would wait for itself: a signal handler, or a finalizer that the garbage collector runs, that came
        in the middle of a write of its own thread, or of a change of the tree."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self.holder == <unsigned long>self.stand_ins.get(me, me) or self._must_not_rotate():
            raise BusyError("a signal handler or finalizer used the database in the middle of a write of its own thread: "
                            "let it set a flag, and use the database outside of it")

    cdef inline void unlock_writes(self) noexcept nogil:
        pthread_mutex_unlock(&self.write_lock)

    cdef int pass_gate(self, size_t size) except -1:
        """What a closed gate means for a write: an error, or a pause."""
        if self.gate & ~GATE_SLOW:
            self._refuse()
        if self.gate & GATE_SLOW:
            self.slow_down(size)
        return 0

    cdef int slow_down(self, size_t size) except -1:
        """Sleep so that writers together write `slow_rate` bytes a second, in naps of a millisecond or more."""
        cdef timespec nap
        cdef double seconds
        pthread_mutex_lock(&self.slow_lock)
        self.slow_debt += size
        seconds = self.slow_debt / self.slow_rate if self.slow_rate > 0 else 0
        seconds = 0 if seconds < 0.001 else min(seconds, 0.05)
        if seconds > 0:
            self.slow_debt = 0
            self.slowed_seconds += seconds
        pthread_mutex_unlock(&self.slow_lock)
        if seconds == 0:
            return 0
        nap.tv_sec = 0
        nap.tv_nsec = <long>(seconds * 1e9)
        with nogil:
            nanosleep(&nap, NULL)
        PyErr_CheckSignals()
        return 0

    cdef int fail(self, object error) except -1:
        """From now on nothing is written; the first error is the one that is kept and told."""
        if not lsm_swap(&self.failing, 1):
            self.failure = error
        lsm_set_bits(&self.gate, GATE_FAILED)
        return 0

    def _open_gate(self, *, bint read_only):
        if read_only:
            lsm_set_bits(&self.gate, GATE_READ_ONLY)
        lsm_clear_bits(&self.gate, GATE_CLOSED)         # a child of a fork meanwhile stays one

    def _close_gate(self, *, bint forked=False):
        """From now on every operation is refused. Waits for a write that is under way, but not in a forked child."""
        if forked:
            lsm_set_bits(&self.gate, GATE_FORKED)
            return
        self.lock_writes()
        lsm_set_bits(&self.gate, GATE_CLOSED)
        self.unlock_writes()

    def _fail(self, error):
        self.fail(error)

    def _slow(self, double rate):
        """Let writers write so many bytes a second; 0 lets them go."""
        pthread_mutex_lock(&self.slow_lock)
        self.slow_rate = rate
        pthread_mutex_unlock(&self.slow_lock)
        if rate > 0:
            lsm_set_bits(&self.gate, GATE_SLOW)
        else:
            lsm_clear_bits(&self.gate, GATE_SLOW)

    def _uninterrupted(self, work):
        """Call `work` where no signal handler can cut it in two.

        Handlers run in the main thread, between any two steps of its Python code, and may raise. A change of the tree
        must not stop half way for that, so the main thread has another thread make it, and raises what a handler
        raised when it is made. Once the interpreter is being torn down no other thread ever runs again (and nothing
        interrupts): then this one makes it. In the child of a fork that a handler made the other thread is not there.
        """
        cdef StandIn stand_in
        if sys.is_finalizing() or threading.current_thread() is not threading.main_thread():
            return work()
        stand_in = StandIn(work)
        try:
            _thread.start_new_thread(stand_in.make, (PyThread_get_thread_ident(), self.stand_ins))
        except BaseException as error:          # want of memory may be told though the thread was begun
            if stand_in.call_off():
                if isinstance(error, RuntimeError):
                    return work()               # no thread to be had: then it takes its chances
                raise
        interrupted = None
        made = False
        while not made:
            try:
                made = stand_in.wait()
            except BaseException as error:
                interrupted = error
            if getpid() != stand_in.process:        # also when it is made: in the parent
                self._refuse()
        if interrupted is not None:
            if stand_in.raised is not None and interrupted.__cause__ is None:
                raise interrupted from stand_in.raised
            raise interrupted
        if stand_in.raised is not None:
            raise stand_in.raised
        if not stand_in.made:
            raise MemoryError

    @property
    def _gate(self):
        return self.gate

    @property
    def _stand_ins(self):
        """Threads that work for the main thread just now, which waits for them."""
        return self.stand_ins

    @property
    def _failure(self):
        return self.failure
