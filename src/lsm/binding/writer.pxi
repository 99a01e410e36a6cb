"""Writer: the writing half of a store: put, delete, batches, sync.

A write: pass the gate, take the write lock, make sure of the memory, append to the log, add to the memtable, and only
then move `sequence` on, so that readers see a batch whole or not at all. With sync, then wait for the disk, without
the write lock (sync.pxi).

Invariant: only the holder of the write lock adds to memtable and log, or replaces them.
"""
cdef enum:
    LONG_WRITE = 32768          # bytes from which on a write gives the GIL away
    BATCH_CHUNK = 1048576       # bytes after which write_many begins a new batch


cdef bint _final(const Fault *fault) noexcept nogil:
    """Is nothing to be written after this any more? Without a descriptor (EMFILE, ENFILE) no file was made, and none was touched."""
    return fault.kind == FAULT_SYSTEM and fault.error not in (ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE)


cdef class Writer(GroupSync):
    cdef LogWriter log                  # the last of `logs`
    cdef Memtable memtable
    cdef Preparer preparer              # None: nothing was written yet, or there is nothing to prepare here
    cdef uint64_t memtable_budget
    cdef uint64_t rotate_at             # bytes of the memtable: its budget, or 0 while there is no log
    cdef uint64_t bytes_written         # keys and values, as given by the user
    cdef uint64_t log_bytes

    cdef int prepare_for(self, SyncedFile log, Memtable memtable) except -1:
        """Have these prepared ahead from now on, in the place of those before; or, without a log, nothing any more."""
        if self.preparer is None:
            if log is None or log.file.env.prepare == NULL:
                return 0
            try:
                self.preparer = Preparer()
            except MemoryError:
                return 0                            # it goes without
        if log is None:
            self.preparer.stop()
            self.preparer = None
        else:
            self.preparer.attend(log, memtable)
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
            if memtable_bytes(self.memtable.table) < lsm_load_relaxed(&self.rotate_at):
                return 0
            self.holder = PyThread_get_thread_ident()
            try:
                if self._must_not_rotate():
                    if self.log is None:
                        self._check_entry()
                    self.holder = 0
                    return 0                        # the memtable takes a little more than its budget
                room = self._may_rotate()
                if room:
                    self._uninterrupted(self._rotate)
            except BaseException:
                self.holder = 0
                self.unlock_writes()
                raise
            self.holder = 0
            if room:
                return 0
            self.unlock_writes()
            self._wait_for_room()

    cdef int write_entry(self, int kind, Slice key, Slice value, bint sync) except -1:
        """One put or delete, as a batch of one."""
        cdef Fault fault
        cdef LogWriter log
        cdef uint64_t sequence = 0
        cdef size_t size = key.size + value.size
        cdef int status
        if sync:
            self.check_sync()                   # before anything is written
        self.begin_write(size)
        log = self.log
        if size < LONG_WRITE:
            status = self.write_entry_locked(kind, key, value, &sequence, &fault)
        else:
            with nogil:
                status = self.write_entry_locked(kind, key, value, &sequence, &fault)
        if status != 0 and _final(&fault):
            lsm_set_bits(&self.gate, GATE_FAILED)   # before anybody else may write
        self.unlock_writes()
        if status != 0:
            self.raise_write(&fault, log.directory.path)
        if sync:
            self.sync_to(sequence)
        return 0

    cdef int write_entry_locked(self, int kind, Slice key, Slice value, uint64_t *sequence,
                                Fault *fault) noexcept nogil:
        cdef RecordHeader header
        cdef c_memtable *table = self.memtable.table
        cdef uint64_t hash_ = key_hash(key)
        if memtable_ensure(table, 1, entry_bytes(key.size, value.size)) != 0:
            return fault_memory(fault)
        self.head_record(&header, entry_payload(kind, key.size, value.size), 1)
        if self.log.append_entry(kind, key, value, &header, fault) != 0:
            return -1
        memtable_add(table, key, hash_, tag_of(header.sequence, kind), value)
        self.publish(&header, key.size + value.size)
        sequence[0] = header.sequence
        return 0

    cdef int write_payload(self, const uint8_t *payload, size_t size, uint32_t count, size_t memory,
                           bint sync) except -1:
        """A whole batch, encoded as the payload of a record; `memory` is what its entries take in a memtable."""
        cdef Fault fault
        cdef LogWriter log
        cdef uint64_t sequence = 0
        cdef int status
        if count == 0:
            return 0
        if sync:
            self.check_sync()                   # before anything is written
        self.begin_write(size)
        log = self.log
        if size < LONG_WRITE:
            status = self.write_payload_locked(payload, size, count, memory, &sequence, &fault)
        else:
            with nogil:
                status = self.write_payload_locked(payload, size, count, memory, &sequence, &fault)
        if status != 0 and _final(&fault):
            lsm_set_bits(&self.gate, GATE_FAILED)   # before anybody else may write
        self.unlock_writes()
        if status != 0:
            self.raise_write(&fault, log.directory.path)
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
        entry.kind = KIND_PUT
        cdef uint32_t i
        if memtable_ensure(table, count, memory) != 0:
            return fault_memory(fault)
        self.head_record(&header, size, count)
        if self.log.append(payload, &header, fault) != 0:
            return -1
        for i in range(count):
            if entry_decode(&left, &entry) != 0:
                break                               # cannot be: the batch encoded it, and holds still
            memtable_add(table, entry.key, key_hash(entry.key),
                         tag_of(header.sequence + i, entry.kind), entry.value)
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
        lsm_store_relaxed(&self.bytes_written, self.bytes_written + bytes_)
        lsm_store_relaxed(&self.log_bytes, self.log_bytes + record_bytes(header.size))
        lsm_store_release(&self.sequence, header.sequence + header.count - 1)

    cdef int raise_write(self, Fault *fault, object path) except -1:
        """A refused append left the log as it was: nothing was written, and the next write may succeed.

        Lack of room (ENOSPC, EDQUOT), of memory and of descriptors pass; after any other refusal by the system the state of the file
        is not known, and nothing more is written.
        """
        try:
            raise_fault(fault, path)
        except BaseException as error:
            if _final(fault):
                self.fail(error)
            raise
        return 0

    def put(self, key, value, *, bint sync=False):
        """Set `key` to `value`, both bytes or bytes-like.

        When it returns, the write survives the death of the process; with `sync=True` also the loss of power. Raises
        TypeError for str and the like, ValueError over the limits (keys 65,535 bytes, values 128 MiB), StorageError
        when the disk refuses (when it is full, nothing was written; when the sync failed, whether the write is kept is
        not known and no more are taken), ReadOnlyError, ClosedError. Cost: an append to the log and an insertion in
        memory; with `sync=True` a share of one fdatasync. Waits when the background work cannot keep up.

        >>> db.put(b"kenya:capital", b"Nairobi")
        >>> db.put(b"kenya:currency", b"shilling", sync=True)
        >>> db.put("kenya", b"")
        Traceback (most recent call last):
        TypeError: keys are bytes, not str: encode it, for example 'kenya'.encode()
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
        """Remove `key`. That it was not there is no error. The promises, errors and costs of `put`: it writes a marker
        that hides the key, and compaction removes both.

        >>> db.delete(b"nowhere")
        """
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

        Written in batches of about a megabyte, each of them all or nothing, the whole is not; with `sync=True` one sync
        at the end. When the iterable raises, what was written in full batches stays. Errors as `put`. Cost: less
        than as many calls of `put`.

        >>> db.write_many({b"a": b"1", b"b": b"2"})
        2
        """
        cdef WriteBatch batch
        cdef uint64_t count = 0
        if self.gate & ~GATE_SLOW:
            self._refuse()
        batch = WriteBatch(self)
        if hasattr(pairs, "items"):
            pairs = pairs.items()
        for key, value in pairs:
            batch.put_pair(key, value)          # nobody else has this batch
            count += 1
            if batch.payload.size >= BATCH_CHUNK:
                batch.write()
        batch.sync = sync
        batch.write()
        if sync:
            self.sync()
        return count

    def write_batch(self, *, bint sync=False):
        """A WriteBatch for this database: as a `with` block, written at its end, dropped when the block raises.

        With `sync=True` it is durable once it is written. Raises ReadOnlyError, ClosedError.

        >>> with db.write_batch() as batch:
        ...     batch.put(b"a", b"1")
        ...     batch.delete(b"b")
        """
        cdef WriteBatch batch
        if self.gate & ~GATE_SLOW:
            self._refuse()
        batch = WriteBatch(self)
        batch.sync = sync
        return batch

    def sync(self):
        """Make every write so far survive the loss of power. Cost: one fdatasync, shared with others who wait.

        Raises StorageError when the disk fails; then the database takes no more writes, and reads go on.
        """
        if self.gate & ~GATE_SLOW:
            self._refuse()
        self.sync_to(lsm_load_acquire(&self.sequence))

    def _rotate_now(self):
        """For flush: put a new memtable and log in place, if the present memtable holds anything."""
        if self.gate & ~GATE_SLOW:
            self._refuse()
        self.lock_writes()
        self.holder = PyThread_get_thread_ident()
        try:
            if self.gate & ~GATE_SLOW:
                self._refuse()
            if self._must_not_rotate():
                self._check_entry()
            if self.memtable.table.entries > 0:
                self._uninterrupted(self._rotate)
        finally:
            self.holder = 0
            self.unlock_writes()
