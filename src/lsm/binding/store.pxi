"""Store: the compiled half of a database. Its put, get, delete, multi_get ARE the public methods.

What it holds: the view (immutable: memtables and tables), the newest memtable and its log, the sequence number of the
last write. The Python half (tree/database.py) is a subclass; it is called back once a memtable is full (`_rotate`),
when there is no room for another (`_wait_for_room`), when a sync needs a flush (`_flush_up_to`), and to say why an operation is refused (`_refuse`).

A write: pass the gate, take the write lock, make sure of the memory, append to the log, add to the memtable, and only
then move `sequence` on, so that readers see a batch whole or not at all. With sync, then wait for the disk, without
the write lock: whoever comes first syncs for all who have appended by then (group commit).

Invariants
- `sequence` is the last write that readers may see; everything up to `synced` is on disk.
- `gate` is zero whenever a write may just go ahead; it is the one thing the common path looks at.
- after a failed sync nothing is written any more (`failure` says why), and no sync is tried again.

Locks, always taken in this order: sync_lock, write_lock, then the Python half's install lock, then a memtable's own.
None of the first two is ever waited for while holding the GIL; a thread that holds the write lock may wait for the
GIL, since nobody who waits for the lock holds it. Only the holder of the write lock adds to memtable and log.
"""
import _thread
import sys
import threading


cdef enum Gate:
    GATE_CLOSED = 1
    GATE_FORKED = 2
    GATE_READ_ONLY = 4
    GATE_FAILED = 8
    GATE_SLOW = 16
    GATE_SHUT = 3               # neither read nor written


cdef enum:
    LONG_WRITE = 32768          # bytes from which on a write gives the GIL away
    BATCH_CHUNK = 1048576       # bytes after which write_many begins a new batch


cdef object _missing = object()

GATE_CLOSED_FLAG = GATE_CLOSED
GATE_FORKED_FLAG = GATE_FORKED
GATE_SLOW_FLAG = GATE_SLOW
GATE_SHUT_FLAG = GATE_SHUT


def forked():
    """In the child of a fork: what was opened before is the parent's, and nothing of it is removed from here."""
    global fork_generation
    fork_generation += 1


def _work_for_another(work, list outcome, done):
    try:
        work()
        outcome.append(None)
    except BaseException as error:
        outcome.append(error)
    finally:
        done.release()


cdef class Store:
    cdef object __weakref__
    cdef int gate
    cdef View view
    cdef Memtable memtable
    cdef LogWriter log
    cdef tuple logs                     # every log not yet flushed, oldest first; the last one is `log`
    cdef pthread_mutex_t write_lock
    cdef pthread_mutex_t sync_lock
    cdef uint64_t sequence
    cdef uint64_t synced
    cdef uint64_t recovered             # the last write that an earlier process made
    cdef uint64_t memtable_budget
    cdef object failure                 # the first error after which nothing is written
    cdef dict moments                   # sequence -> how many snapshots hold it
    cdef double slow_rate               # bytes a second that writers may write while GATE_SLOW
    cdef double slow_debt
    cdef double slowed_seconds
    cdef uint64_t bytes_written         # keys and values, as given by the user
    cdef uint64_t log_bytes
    cdef uint64_t syncs
    cdef uint64_t gets

    def __cinit__(self):
        self.gate = GATE_CLOSED
        self.moments = {}
        self.logs = ()
        pthread_mutex_init(&self.write_lock, NULL)
        pthread_mutex_init(&self.sync_lock, NULL)

    def __dealloc__(self):
        pthread_mutex_destroy(&self.write_lock)
        pthread_mutex_destroy(&self.sync_lock)

    # ---------------------------------------------------------------- what the Python half overrides

    def _rotate(self):
        """Put a new memtable and log in the place of the full one. Called under the write lock."""
        raise NotImplementedError

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

    # ---------------------------------------------------------------- locks and the gate

    cdef inline void lock_writes(self) noexcept:
        """Take the write lock, giving the GIL away only if it has to be waited for."""
        if pthread_mutex_trylock(&self.write_lock) != 0:
            with nogil:
                pthread_mutex_lock(&self.write_lock)

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
        self.slow_debt += size
        seconds = self.slow_debt / self.slow_rate if self.slow_rate > 0 else 0
        if seconds < 0.001:
            return 0
        if seconds > 0.05:
            seconds = 0.05
        self.slow_debt = 0
        self.slowed_seconds += seconds
        nap.tv_sec = 0
        nap.tv_nsec = <long>(seconds * 1e9)
        with nogil:
            nanosleep(&nap, NULL)
        PyErr_CheckSignals()
        return 0

    cdef int begin_write(self, size_t size) except -1:
        """Take the write lock with room in the memtable. The caller lets go of it, also when it raises later."""
        cdef bint room
        while True:
            if self.gate:
                self.pass_gate(size)
            self.lock_writes()
            if self.gate & ~GATE_SLOW:
                self.unlock_writes()
                continue                            # closed while we waited for the lock: the gate says so
            if memtable_bytes(self.memtable.table) < self.memtable_budget:
                return 0
            try:
                room = self._may_rotate()
                if room:
                    self._uninterrupted(self._rotate)
            except BaseException:
                self.unlock_writes()
                raise
            if room:
                return 0
            self.unlock_writes()
            self._wait_for_room()

    # ---------------------------------------------------------------- writing

    cdef int write_entry(self, int kind, Slice key, Slice value, bint sync) except -1:
        """One put or delete, as a batch of one."""
        cdef Fault fault
        cdef uint64_t sequence = 0
        cdef size_t size = key.size + value.size
        cdef int status
        self.begin_write(size)
        if size < LONG_WRITE:
            status = self.write_entry_locked(kind, key, value, &sequence, &fault)
        else:
            with nogil:
                status = self.write_entry_locked(kind, key, value, &sequence, &fault)
        self.unlock_writes()
        if status != 0:
            self.raise_write(&fault)
        if sync:
            self.sync_to(sequence)
        return 0

    cdef int write_entry_locked(self, int kind, Slice key, Slice value, uint64_t *sequence,
                                Fault *fault) noexcept nogil:
        cdef RecordHeader header
        cdef c_memtable *table = self.memtable.table
        if memtable_ensure(table, 1, entry_bytes(key.size, value.size)) != 0:
            return fault_memory(fault)
        self.head_record(&header, entry_payload(kind, key.size, value.size), 1)
        if self.log.append_entry(kind, key, value, &header, fault) != 0:
            return -1
        memtable_add(table, key, tag_of(header.sequence, kind), value)
        self.publish(&header, key.size + value.size)
        sequence[0] = header.sequence
        return 0

    cdef int write_payload(self, const uint8_t *payload, size_t size, uint32_t count, size_t memory,
                           bint sync) except -1:
        """A whole batch, encoded as the payload of a record; `memory` is what its entries take in a memtable."""
        cdef Fault fault
        cdef uint64_t sequence = 0
        cdef int status
        if count == 0:
            return 0
        self.begin_write(size)
        if size < LONG_WRITE:
            status = self.write_payload_locked(payload, size, count, memory, &sequence, &fault)
        else:
            with nogil:
                status = self.write_payload_locked(payload, size, count, memory, &sequence, &fault)
        self.unlock_writes()
        if status != 0:
            self.raise_write(&fault)
        if sync:
            self.sync_to(sequence)
        return 0

    cdef int write_payload_locked(self, const uint8_t *payload, size_t size, uint32_t count, size_t memory,
                                  uint64_t *sequence, Fault *fault) noexcept nogil:
        cdef RecordHeader header
        cdef RecordEntry entry
        cdef Input left = input_of(payload, size)
        cdef c_memtable *table = self.memtable.table
        cdef uint64_t bytes_ = 0
        cdef uint32_t i
        if memtable_ensure(table, count, memory) != 0:
            return fault_memory(fault)
        self.head_record(&header, size, count)
        if self.log.append(payload, &header, fault) != 0:
            return -1
        for i in range(count):
            entry_decode(&left, &entry)             # we encoded it: it cannot fail
            memtable_add(table, entry.key, tag_of(header.sequence + i, entry.kind), entry.value)
            bytes_ += entry.key.size + entry.value.size
        self.publish(&header, bytes_)
        sequence[0] = header.sequence + count - 1
        return 0

    cdef inline void head_record(self, RecordHeader *header, size_t size, uint32_t count) noexcept nogil:
        header.size = <uint32_t>size
        header.count = count
        header.sequence = self.sequence + 1
        header.synced = lsm_load_relaxed(&self.synced)
        header.time = self.log.file.env.now(self.log.file.env)

    cdef inline void publish(self, const RecordHeader *header, uint64_t bytes_) noexcept nogil:
        self.bytes_written += bytes_
        self.log_bytes += record_bytes(header.size)
        lsm_store_release(&self.sequence, header.sequence + header.count - 1)

    cdef int raise_write(self, Fault *fault) except -1:
        """A refused append left the log as it was: nothing was written, and the next write may succeed.

        Lack of room (ENOSPC, EDQUOT) and of memory pass; after any other refusal by the system the state of the file
        is not known, and nothing more is written.
        """
        try:
            raise_fault(fault, self.log.directory.path)
        except BaseException as error:
            if fault.kind == FAULT_SYSTEM and fault.error != ENOSPC and fault.error != EDQUOT:
                self.fail(error)
            raise
        return 0

    cdef int fail(self, object error) except -1:
        """From now on nothing is written; the first error is the one that is kept and told."""
        if self.failure is None:
            self.failure = error
        self.gate |= GATE_FAILED
        return 0

    cdef int sync_to(self, uint64_t sequence) except -1:
        """Answer when every write up to `sequence` is on disk. One sync serves all who wait for it."""
        cdef Fault fault
        cdef LogWriter log
        cdef LogWriter newest
        cdef tuple logs
        cdef uint64_t target
        cdef int status = 0
        if self.synced < self.recovered:
            self._flush_up_to(self.recovered)       # no sync of ours reaches the logs of an earlier process
        with nogil:
            pthread_mutex_lock(&self.sync_lock)
        try:
            if self.synced >= sequence:
                return 0
            if self.gate & ~GATE_SLOW:
                self._refuse()
            self.lock_writes()
            logs = self.logs
            newest = self.log
            target = self.sequence
            self.unlock_writes()
            for log in logs:
                if log.synced_whole:
                    continue
                with nogil:
                    status = log.sync(&fault)
                if status != 0:
                    break
                self.syncs += 1
                log.synced_whole = log is not newest
            if status == 0:
                lsm_store_relaxed(&self.synced, target)
        finally:
            pthread_mutex_unlock(&self.sync_lock)
        if status != 0:
            try:
                raise_fault(&fault, self.log.directory.path)
            except BaseException as error:
                self.fail(error)
                raise
        return 0

    def put(self, key, value, *, bint sync=False):
        """Set `key` to `value`, both bytes or bytes-like.

        When it returns, the write survives the death of the process; with `sync=True` also the loss of power. Raises
        ValueError over the limits (keys 65,535 bytes, values 128 MiB), StorageError when the disk refuses (nothing was
        written), ReadOnlyError and ClosedError. Cost: an append to the log and an insertion in memory.
        """
        cdef Borrowed k
        cdef Borrowed v
        borrow_key(key, &k)
        try:
            borrow_value(value, &v)
            try:
                self.write_entry(KIND_PUT, k.slice, v.slice, sync)
            finally:
                give_back(&v)
        finally:
            give_back(&k)

    def delete(self, key, *, bint sync=False):
        """Remove `key`. That it was not there is no error. The promises and costs of `put`."""
        cdef Borrowed k
        borrow_key(key, &k)
        try:
            self.write_entry(KIND_DELETE, k.slice, slice_of(NULL, 0), sync)
        finally:
            give_back(&k)

    def __setitem__(self, key, value):
        self.put(key, value)

    def __delitem__(self, key):
        """Remove `key`; KeyError when it is not there. Between the look and the removal another thread may write."""
        if key not in self:
            raise KeyError(key)
        self.delete(key)

    def write_many(self, pairs, *, bint sync=False):
        """Put every (key, value) of an iterable or mapping; answers how many.

        Written in batches of about a megabyte, each of them all or nothing; with `sync=True` one sync at the end.
        """
        cdef WriteBatch batch = WriteBatch(self)
        cdef uint64_t count = 0
        if hasattr(pairs, "items"):
            pairs = pairs.items()
        for key, value in pairs:
            batch.put(key, value)
            count += 1
            if batch.payload.size >= BATCH_CHUNK:
                batch.write()
        batch.sync = sync
        batch.write()
        if sync:
            self.sync()
        return count

    def write_batch(self, *, bint sync=False):
        """A WriteBatch for this database: as a `with` block, written at its end, dropped when the block raises."""
        cdef WriteBatch batch
        if self.gate & ~GATE_SLOW:
            self._refuse()
        batch = WriteBatch(self)
        batch.sync = sync
        return batch

    def sync(self):
        """Make every write so far survive the loss of power. Cost: one fdatasync, shared with others who wait."""
        if self.gate & ~GATE_SLOW:
            self._refuse()
        self.sync_to(lsm_load_acquire(&self.sequence))

    # ---------------------------------------------------------------- reading

    # A reader first takes the view, then the sequence: the view it holds then has all that is visible at that moment.
    # The other way round, a compaction installed in between could have dropped what the older moment sees.

    cdef object find(self, object key, View view, uint64_t sequence, object default):
        cdef Borrowed k
        cdef Lookup found
        if self.gate & GATE_SHUT:
            self._refuse()
        borrow(key, &k, "keys")
        self.gets += 1
        try:
            view.lookup(k.slice, sequence, &found)
        finally:
            give_back(&k)
        if found.kind != KIND_PUT:
            lookup_release(&found)
            return default
        try:
            return bytes_of(found.value)
        finally:
            lookup_release(&found)

    def get(self, key, default=None):
        """The value of `key`, or `default`. Raises CorruptionError when what is on disk is not what was written."""
        cdef View view = self.view
        return self.find(key, view, lsm_load_acquire(&self.sequence), default)

    def __getitem__(self, key):
        cdef View view = self.view
        cdef object value = self.find(key, view, lsm_load_acquire(&self.sequence), _missing)
        if value is _missing:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        cdef View view = self.view
        return self.find(key, view, lsm_load_acquire(&self.sequence), _missing) is not _missing

    def multi_get(self, keys, default=None):
        """The values of many keys, in their order, all of one moment; `default` where there is none."""
        cdef View view = self.view
        cdef uint64_t sequence = lsm_load_acquire(&self.sequence)
        return [self.find(key, view, sequence, default) for key in keys]

    def scan(self, start=None, stop=None, *, prefix=None, bint include_start=True, bint include_stop=False,
             bint reverse=False, limit=None, bint keys=True, bint values=True):
        """Iterate over a range in the order of the keys, as of this moment, whatever is written meanwhile.

        `start` and `stop` bound it from below and above whatever the direction; `prefix` bounds it further. Rows are
        (key, value); with `values=False` keys alone, with `keys=False` values alone. Raises CorruptionError rather
        than end early. Cost: about a get to begin with, then a fraction of one each row.
        """
        cdef View view = self.view
        return self.scan_at(view, lsm_load_acquire(&self.sequence), start, stop, prefix, include_start, include_stop,
                            reverse, limit, keys, values)

    cdef Scan scan_at(self, View view, uint64_t sequence, start, stop, prefix, bint include_start, bint include_stop,
                      bint reverse, limit, bint keys, bint values):
        cdef Scan scan
        if self.gate & GATE_SHUT:
            self._refuse()
        if not keys and not values:
            raise ValueError("keys=False and values=False leave nothing to iterate over")
        scan = Scan(self)
        scan.open(view, sequence)
        scan.bound(start, stop, prefix, include_start, include_stop)
        scan.shape(reverse, limit, keys, values)
        return scan

    def __iter__(self):
        return self.scan(values=False)

    def __reversed__(self):
        return self.scan(values=False, reverse=True)

    def __bool__(self):
        """Is there any key? Does not count."""
        for _ in self.scan(values=False, limit=1):
            return True
        return False

    def __len__(self):
        """The number of keys. It counts them: as slow as a scan of all keys."""
        cdef uint64_t count = 0
        for _ in self.scan(values=False):
            count += 1
        return count

    def cursor(self):
        """A Cursor over the database as of this moment."""
        if self.gate & GATE_SHUT:
            self._refuse()
        cdef Cursor cursor = Cursor(self)
        cdef View view = self.view
        cursor.open(view, lsm_load_acquire(&self.sequence))
        return cursor

    def snapshot(self):
        """A Snapshot: the database as it is now, until it is closed. Old versions are kept on disk meanwhile."""
        if self.gate & GATE_SHUT:
            self._refuse()
        return Snapshot(self)

    # ---------------------------------------------------------------- for the Python half

    def _open_gate(self, *, bint read_only):
        self.gate = GATE_READ_ONLY if read_only else 0

    def _close_gate(self, *, bint forked=False):
        """From now on every operation is refused. Waits for a write that is under way, but not in a forked child."""
        if forked:
            self.gate |= GATE_FORKED
            return
        self.lock_writes()
        self.gate |= GATE_CLOSED
        self.unlock_writes()

    def _fail(self, error):
        self.fail(error)

    def _slow(self, double rate):
        """Let writers write so many bytes a second; 0 lets them go."""
        self.slow_rate = rate
        if rate > 0:
            self.gate |= GATE_SLOW
        else:
            self.gate &= ~GATE_SLOW

    def _begin(self, uint64_t sequence, uint64_t synced, uint64_t memtable_budget):
        """After recovery: the last write there is, and the last of those in tables.

        Normally the same. Otherwise the rest is in the logs of an earlier process, whose pages are not relied on.
        """
        self.sequence = sequence
        self.recovered = sequence
        self.synced = synced
        self.memtable_budget = memtable_budget

    def _install(self, View view, Memtable memtable, tuple logs):
        """Show readers another view, and writers another memtable and log, in one step."""
        self.view = view
        self.memtable = memtable
        self.logs = logs
        self.log = logs[len(logs) - 1] if logs else None

    def _drop_view(self):
        """After closing: let go of memtables, tables and logs."""
        self.view = None
        self.memtable = None
        self.log = None
        self.logs = ()

    def _rotate_now(self):
        """For flush: put a new memtable and log in place, if the present memtable holds anything."""
        if self.gate & ~GATE_SLOW:
            self._refuse()
        self.lock_writes()
        try:
            if self.gate & ~GATE_SLOW:
                self._refuse()
            if self.memtable.table.entries > 0:
                self._uninterrupted(self._rotate)
        finally:
            self.unlock_writes()

    def _uninterrupted(self, work):
        """Call `work` where no signal handler can cut it in two.

        Handlers run in the main thread, between any two steps of its Python code, and may raise. A change of the tree
        must not stop half way for that, so the main thread has another thread make it, and raises what a handler
        raised when it is made. Once the interpreter is being torn down no other thread ever runs again (and nothing
        interrupts): then this one makes it.
        """
        if sys.is_finalizing() or threading.current_thread() is not threading.main_thread():
            return work()
        outcome = []
        done = _thread.allocate_lock()
        done.acquire()
        try:
            _thread.start_new_thread(_work_for_another, (work, outcome, done))
        except RuntimeError:
            return work()                       # no more threads to be had: then it takes its chances
        interrupted = None
        while True:
            try:
                done.acquire()
                break
            except BaseException as error:
                interrupted = error
        if outcome[0] is not None:
            raise outcome[0]
        if interrupted is not None:
            raise interrupted

    @property
    def _gate(self):
        return self.gate

    @property
    def _failure(self):
        return self.failure

    @property
    def _view(self):
        return self.view

    @property
    def _memtable(self):
        return self.memtable

    @property
    def _logs(self):
        return self.logs

    @property
    def _sequence(self):
        return self.sequence

    @property
    def _synced(self):
        return self.synced

    @property
    def _moments(self):
        """Sequence numbers that live snapshots hold, ascending."""
        return sorted(self.moments)

    @property
    def _counters(self):
        return {"bytes_written": self.bytes_written, "log_bytes": self.log_bytes, "syncs": self.syncs,
                "gets": self.gets, "slowed_seconds": self.slowed_seconds}
