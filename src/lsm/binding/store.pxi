"""Store: the compiled half of a database: what Gate and Writer do, and reading. Its methods ARE the public ones.

It holds the view: memtables and tables at one moment, immutable. A reader first takes the view, then the sequence: the
view then has all that is visible at that moment. The other way round, a compaction installed in between could have
dropped what the older moment sees.

Threads: any. The GIL is given away around reads of the disk (view.pxi).
"""
cdef object _missing = object()


cdef class Store(Writer):
    cdef View view
    cdef dict moments                   # sequence -> how many snapshots hold it
    cdef uint64_t gets
    cdef lsm_guard readers_guard
    cdef PyObject *readers              # the open scans and cursors, linked; borrowed: they leave the list before they go

    cdef Rows rows_kept                 # memory for the next scan, under the guard of the readers

    def __cinit__(self):
        self.moments = {}

    def __dealloc__(self):
        rows_free(&self.rows_kept)

    cdef void spare_rows(self, Rows *rows) noexcept:
        """Give rows that were just begun the memory of those kept, if there are any."""
        lsm_guard_lock(&self.readers_guard)
        rows_again(rows, &self.rows_kept)
        lsm_guard_unlock(&self.readers_guard)

    cdef void keep_rows(self, Rows *rows) noexcept:
        """Free them, or keep what memory they have, if it is little, for the next scan."""
        lsm_guard_lock(&self.readers_guard)
        if rows_small(rows):
            rows[0], self.rows_kept = self.rows_kept, rows[0]
        lsm_guard_unlock(&self.readers_guard)
        rows_free(rows)

    cdef inline View present(self):
        """The view of this moment."""
        cdef View view
        lsm_guard_lock(&self.guard)
        view = self.view
        lsm_guard_unlock(&self.guard)
        return view

    cdef object find(self, object key, View view, uint64_t sequence, object default):
        cdef Borrowed k
        cdef Lookup found
        if self.gate & GATE_SHUT:
            self._refuse()
        borrow(key, &k, "keys")
        lsm_store_relaxed(&self.gets, lsm_load_relaxed(&self.gets) + 1)
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

    cdef list find_many(self, object keys, View view, uint64_t sequence, object default):
        cdef list wanted = list(keys)
        cdef Py_ssize_t count = len(wanted)
        cdef list values = [default] * count
        cdef Py_ssize_t start = 0
        if self.gate & GATE_SHUT:
            self._refuse()
        while start < count:
            self.find_some(wanted, values, start, min(<Py_ssize_t>MANY_MAX, count - start), view, sequence)
            start += MANY_MAX
        lsm_store_relaxed(&self.gets, lsm_load_relaxed(&self.gets) + <uint64_t>count)
        return values

    cdef int find_some(self, list keys, list values, Py_ssize_t start, Py_ssize_t count, View view,
                       uint64_t sequence) except -1:
        """Put what is found into values[start:start + count]; at most MANY_MAX."""
        cdef Borrowed borrowed[MANY_MAX]
        cdef Wanted wanted[MANY_MAX]
        cdef Py_ssize_t ready = 0
        cdef Py_ssize_t i
        try:
            for i in range(count):
                borrow(keys[start + i], &borrowed[i], "keys")
                wanted_begin(&wanted[i], borrowed[i].slice)
                ready = i + 1
            view.lookup_many(wanted, count, sequence)
            for i in range(count):
                if wanted[i].found.kind == KIND_PUT:
                    values[start + i] = bytes_of(wanted[i].found.value)
        finally:
            for i in range(ready):
                wanted_release(&wanted[i])
                give_back(&borrowed[i])
        return 0

    def get(self, key, default=None):
        """The value of `key` as bytes, or `default`. A key over the limit is just not there.

        Raises CorruptionError when what is on disk is not what was written, StorageError when it cannot be read,
        TypeError, ClosedError. Cost: memory alone for what is in a memtable or in cached blocks; else a filter asked
        for each sorted run, and as a rule one block read, about 4 KiB.

        >>> db.get(b"atlantis:capital") is None
        True
        """
        cdef View view = self.present()
        return self.find(key, view, lsm_load_acquire(&self.sequence), default)

    def __getitem__(self, key):
        cdef View view = self.present()
        cdef object value = self.find(key, view, lsm_load_acquire(&self.sequence), _missing)
        if value is _missing:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        cdef View view = self.present()
        return self.find(key, view, lsm_load_acquire(&self.sequence), _missing) is not _missing

    def multi_get(self, keys, default=None):
        """The values of many keys as a list, in their order, all of one moment; `default` where there is none.
        Cost: a part of that of as many gets, since the keys wait for memory together.

        >>> db[b"a"] = b"1"
        >>> db.multi_get([b"a", b"b"])
        [b'1', None]
        """
        cdef View view = self.present()
        return self.find_many(keys, view, lsm_load_acquire(&self.sequence), default)

    def scan(self, start=None, stop=None, *, prefix=None, bint include_start=True, bint include_stop=False,
             bint reverse=False, limit=None, bint keys=True, bint values=True):
        """Iterate over a range in the order of the keys, as of this moment, whatever is written meanwhile.

        `start` and `stop` bound it from below and above whatever the direction; `prefix` bounds it further. Rows are
        (key, value); with `values=False` keys alone, with `keys=False` values alone; at most `limit` of them. Raises
        CorruptionError rather than end early; ClosedError when the database is closed meanwhile, BusyError when two
        threads ask for a row at once, ValueError, TypeError. Cost: about a get to begin with, then a fraction of one
        each row. Until it is used up, closed or dropped it keeps the memtables and files it began with.

        >>> db.update({b"a": b"1", b"b": b"2", b"c": b"3"})
        >>> list(db.scan(b"a", b"c"))
        [(b'a', b'1'), (b'b', b'2')]
        >>> list(db.scan(reverse=True, limit=2, values=False))
        [b'c', b'b']
        """
        cdef View view = self.present()
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

    def scan_chunks(self, start=None, stop=None, *, prefix=None, bint include_start=True, bint include_stop=False,
                    bint reverse=False, limit=None, bint keys=True, bint values=True, chunk_bytes=1048576):
        """Iterate over a range as `scan` does, but many rows at a time: as Chunks, whose `keys` and `values` are columns of
        bytes in one piece of memory, for numpy, Arrow and whatever else takes columns. A chunk holds about `chunk_bytes`
        (1 MiB; at most 1 GiB) of keys and values, and one row at least; it stays when the database is closed.

        What `scan_chunks` answers is an Arrow stream of the fields "key" and "value": `pyarrow.table(db.scan_chunks())`,
        `polars.DataFrame(db.scan_chunks())`. Raises as `scan`. Cost: a tenth of a scan's; the GIL is not held meanwhile.

        >>> db.update({b"kenya:capital": b"Nairobi", b"kenya:code": b"KE", b"rwanda:code": b"RW"})
        >>> [list(chunk.values) for chunk in db.scan_chunks(prefix=b"kenya:")]
        [[b'Nairobi', b'KE']]
        """
        cdef View view = self.present()
        return self.chunks_at(view, lsm_load_acquire(&self.sequence), start, stop, prefix, include_start, include_stop,
                              reverse, limit, keys, values, chunk_bytes)

    cdef ChunkScan chunks_at(self, View view, uint64_t sequence, start, stop, prefix, bint include_start,
                             bint include_stop, bint reverse, limit, bint keys, bint values, chunk_bytes):
        cdef ChunkScan scan
        if self.gate & GATE_SHUT:
            self._refuse()
        if not keys and not values:
            raise ValueError("keys=False and values=False leave nothing to iterate over")
        scan = ChunkScan(self)
        scan.chunk_bytes = _chunk_bytes(chunk_bytes)
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
        """The number of keys. It counts them, going through all of them without the GIL."""
        cdef View view = self.present()
        return self.count_at(view, lsm_load_acquire(&self.sequence))

    cdef uint64_t count_at(self, View view, uint64_t sequence) except? 0:
        cdef Range counted
        if self.gate & GATE_SHUT:
            self._refuse()
        counted = Range(self)
        counted.open(view, sequence)
        counted.shape(False, None, False, False)
        counted.pull(<size_t>-1, <size_t>-1, False)
        if counted.broken:
            raise_fault(&counted.fault, view.directory.path)
        return counted.batch.count

    def cursor(self):
        """A Cursor over the database as of this moment. It stands nowhere at first: move it. Raises ClosedError."""
        if self.gate & GATE_SHUT:
            self._refuse()
        cdef Cursor cursor = Cursor(self)
        cdef View view = self.present()
        cursor.open(view, lsm_load_acquire(&self.sequence))
        return cursor

    def snapshot(self):
        """A Snapshot: the database as it is now, until it is closed. Raises ClosedError. Cost: nothing to take; what it
        can see is kept on disk meanwhile, however often it is overwritten.

        >>> db[b"a"] = b"old"
        >>> with db.snapshot() as then:
        ...     db[b"a"] = b"new"
        ...     then[b"a"]
        b'old'
        """
        if self.gate & GATE_SHUT:
            self._refuse()
        return Snapshot(self)

    # For the Python half.

    def _begin(self, uint64_t sequence, uint64_t synced, uint64_t memtable_budget):
        """After recovery: the last write there is, and the last of those in tables.

        Normally the same. Otherwise the rest is in the logs of an earlier process, whose pages are not relied on.
        """
        self.sequence = sequence
        self.recovered = sequence
        self.synced = synced
        self.memtable_budget = memtable_budget

    def _install(self, View view, Memtable memtable, tuple logs not None):
        """Show readers another view, and writers another memtable and log, in one step. Without logs, the next write has
        to rotate first."""
        cdef LogWriter log = logs[len(logs) - 1] if logs else None
        cdef tuple replaced = (self.view, self.memtable, self.logs, self.log)   # they go when nothing is guarded any more
        if self.memtable is not memtable or self.log is not log:
            self.prepare_for(log, memtable)
        lsm_guard_lock(&self.guard)
        self.view = view
        self.logs = logs
        if self.memtable is not memtable:               # only under the write lock, or before and after all writing
            self.memtable = memtable
        if self.log is not log:
            self.log = log
        lsm_store_relaxed(&self.rotate_at, self.memtable_budget if logs else 0)
        lsm_guard_unlock(&self.guard)

    def _end_readers(self):
        """After closing: free what scans and cursors hold, but for one that waits for the disk just now. The next call of
        any of them raises ClosedError."""
        cdef Walk *walk = NULL
        cdef PyObject *view = take_over(self, &walk)
        while view != NULL:
            walk_free(walk)
            Py_XDECREF(view)
            view = take_over(self, &walk)

    def _drop_view(self):
        """After closing: let go of memtables, tables and logs."""
        self._install(None, None, ())

    @property
    def _view(self):
        return self.present()

    @property
    def _memtable(self):
        lsm_guard_lock(&self.guard)
        memtable = self.memtable
        lsm_guard_unlock(&self.guard)
        return memtable

    @property
    def _logs(self):
        lsm_guard_lock(&self.guard)
        logs = self.logs
        lsm_guard_unlock(&self.guard)
        return logs

    @property
    def _sequence(self):
        return lsm_load_acquire(&self.sequence)

    @property
    def _synced(self):
        return lsm_load_acquire(&self.synced)

    @property
    def _moments(self):
        """Sequence numbers that live snapshots hold, ascending."""
        with cython.critical_section(self):
            return sorted(self.moments)

    @property
    def _counters(self):
        cdef double slowed
        pthread_mutex_lock(&self.slow_lock)
        slowed = self.slowed_seconds
        pthread_mutex_unlock(&self.slow_lock)
        return {"bytes_written": lsm_load_relaxed(&self.bytes_written), "log_bytes": lsm_load_relaxed(&self.log_bytes),
                "syncs": lsm_load_relaxed(&self.syncs), "gets": lsm_load_relaxed(&self.gets), "slowed_seconds": slowed}
