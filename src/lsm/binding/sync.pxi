"""GroupSync: making writes durable, many by one sync (group commit).

Of the threads that wait for the disk one leads: it syncs the logs for everybody who has appended by then, and wakes
them. Who came too late for that leads the next round, or waits for it. When the last round served several, the leader
first gives the others a moment, half of what a sync takes at the most, to append theirs: they have only just been woken.

Invariants
- everything up to `synced` is on disk; it only grows.
- one thread at a time syncs: who set `syncing`, under `sync_lock`, which is let go of while the disk is waited for.
- after a failed sync nothing is written any more, and no sync is tried again: those who wait are told.
"""
cdef enum:
    GATHER_SHARE = 2                    # of the time of a sync, that a leader waits for others at most


cdef class GroupSync(Gate):
    cdef lsm_guard guard                # of the references to view, memtable and logs: held to take or to replace one
    cdef tuple logs                     # every SyncedFile not yet flushed, oldest first; the last is written to
    cdef uint64_t sequence              # of the last write that readers may see
    cdef uint64_t synced
    cdef uint64_t recovered             # the last write that an earlier process made
    cdef uint64_t syncs
    cdef pthread_cond_t sync_done
    cdef bint syncing
    cdef lsm_atomic_ulong leader        # the thread that leads, or 0
    cdef uint64_t waiting               # threads that wait for the round under way
    cdef uint64_t to_wake               # of them, since the last round ended
    cdef uint64_t group                 # threads that the last round served, the leader among them
    cdef double sync_seconds            # that it took

    def __cinit__(self):
        self.logs = ()
        pthread_cond_init(&self.sync_done, NULL)

    def __dealloc__(self):
        pthread_cond_destroy(&self.sync_done)

    @property
    def _group(self):
        """Threads that the last round served: as many writes the next one waits for, a moment at the most."""
        return self.group

    cdef int sync_to(self, uint64_t sequence) except -1:
        """Answer when every write up to `sequence` is on disk."""
        self.check_sync()
        if lsm_load_acquire(&self.synced) < self.recovered:
            self._flush_up_to(self.recovered)       # no sync of ours reaches the logs of an earlier process
        if self.follow(sequence):
            return 0
        self.leader = PyThread_get_thread_ident()
        try:
            self.lead()
        except BaseException:
            with nogil:
                self.finish_round()
            raise
        return 0

    cdef void finish_round(self) noexcept nogil:
        """Let the next round begin, and wake who waits: one, who wakes the next. All at once they would only meet again at
        the interpreter's lock."""
        self.leader = 0
        pthread_mutex_lock(&self.sync_lock)
        self.syncing = False
        self.to_wake = self.waiting
        self.group = self.waiting + 1
        pthread_cond_signal(&self.sync_done)
        pthread_mutex_unlock(&self.sync_lock)

    cdef int check_sync(self) except -1:
        """Refuse who would wait for itself: called back in the middle of a sync, or a change, of its own thread."""
        if self.leader == PyThread_get_thread_ident() or self._must_not_rotate():
            raise BusyError("a signal handler or finalizer asked for a sync in the middle of one, or of a change of the "
                            "tree, of its own thread: let it set a flag, and sync outside of it")
        return 0

    cdef bint follow(self, uint64_t sequence) noexcept:
        """Wait while others sync. True when `sequence` is on disk; False when this thread is to lead."""
        cdef bint served
        with nogil:
            pthread_mutex_lock(&self.sync_lock)
            while self.syncing and lsm_load_acquire(&self.synced) < sequence:
                self.waiting += 1
                pthread_cond_wait(&self.sync_done, &self.sync_lock)
                self.waiting -= 1
                if self.to_wake > 0:
                    self.to_wake -= 1
                    pthread_cond_signal(&self.sync_done)
            served = lsm_load_acquire(&self.synced) >= sequence
            if not served:
                self.syncing = True
            pthread_mutex_unlock(&self.sync_lock)
        return served

    cdef int lead(self) except -1:
        """One round: sync every log that has anything unsynced in it."""
        cdef Fault fault
        cdef SyncedFile log
        cdef SyncedFile newest
        cdef tuple logs
        cdef uint64_t target
        cdef double began
        cdef bint has_log
        cdef int status = 0
        if self.gate & ~GATE_SLOW:
            self._refuse()
        if self.group > 1:
            with nogil:
                self.gather()
        self.lock_writes()
        lsm_guard_lock(&self.guard)
        logs = self.logs
        newest = logs[len(logs) - 1] if logs else None
        lsm_guard_unlock(&self.guard)
        has_log = newest is not None
        target = self.sequence
        self.unlock_writes()
        if self.gate & ~GATE_SLOW:
            self._refuse()                          # closed meanwhile: there may be no logs any more
        for log in logs:
            if log is newest or log.synced_whole:
                continue
            with nogil:
                status = log.sync(&fault)
            if status != 0:
                self.fail_sync(&fault, log)
            lsm_store_relaxed(&self.syncs, self.syncs + 1)
            log.synced_whole = True
        with nogil:
            began = _seconds()
            if has_log:
                status = newest.sync(&fault)
            if status == 0:
                self.sync_seconds = _seconds() - began
                lsm_store_relaxed(&self.syncs, self.syncs + has_log)
                lsm_store_release(&self.synced, target)
                self.finish_round()
        if status != 0:
            self.fail_sync(&fault, newest)
        return 0

    cdef int fail_sync(self, Fault *fault, SyncedFile log) except -1:
        lsm_set_bits(&self.gate, GATE_FAILED)       # before anybody else may write or sync
        try:
            raise error_of_fault(fault, log.directory.path)
        except BaseException as error:
            self.fail(error)
            raise

    cdef void gather(self) noexcept nogil:
        """Let as many writes come in as the last round served threads, for a moment."""
        cdef double deadline = _seconds() + self.sync_seconds / GATHER_SHARE
        while lsm_load_acquire(&self.sequence) - self.synced < self.group and _seconds() < deadline:
            sched_yield()


cdef double _seconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9
