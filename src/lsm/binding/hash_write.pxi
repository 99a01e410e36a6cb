"""HashWriter: how a hashlog writes: one put or delete, and beginning another file.

A write: pass the gate, take the write lock, make sure of the memory (an entry for each new key, that says it is absent; what
snapshots must still see), append to the active data file, then lead the index there.

Threads: any; one at a time has the write lock.
"""


cdef class HashWriter(HashKeydir):
    cdef int begin_append(self, size_t size) except -1:
        """Take the write lock, with room in the active file. The caller lets go of it, also when it raises later."""
        cdef bint room
        while True:
            if self.gate:
                self.pass_gate(size)
            self.lock_writes()
            if self.gate & ~GATE_SLOW:
                self.unlock_writes()
                continue                            # closed while we waited for the lock: the gate says so
            if self.active is not None and self.active.file.size + size <= self.active.capacity:
                return 0
            self.holder = PyThread_get_thread_ident()
            try:
                if self._must_not_rotate():
                    self._check_entry()
                self.wanted = size
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

    cdef int end_append(self, int status, uint64_t sequence, bint sync, DataFile file, Fault *fault) except -1:
        if status != 0 and _final(fault):
            lsm_set_bits(&self.gate, GATE_FAILED)   # before anybody else may write
        self.unlock_writes()
        if status != 0:
            self.raise_write(fault, file.directory.path)
        if sync:
            self.sync_to(sequence)
        return 0

    cdef int write_entry(self, int kind, Slice key, Slice value, bint sync) except -1:
        cdef Fault fault
        cdef uint64_t sequence = 0
        cdef size_t size = data_record_bytes(key.size, value.size)
        cdef int status
        if sync:
            self.check_sync()                   # before anything is written
        self.begin_append(size)
        if size < LONG_WRITE:
            status = self.append_entry(kind, key, value, &sequence, &fault)
        else:
            with nogil:
                status = self.append_entry(kind, key, value, &sequence, &fault)
        return self.end_append(status, sequence, sync, self.active, &fault)

    cdef int append_entry(self, int kind, Slice key, Slice value, uint64_t *sequence, Fault *fault) noexcept nogil:
        cdef DataRecord record
        cdef uint64_t hash_ = key_hash(key)
        cdef HashEntry *entry = NULL
        cdef uint8_t *at = NULL
        cdef uint64_t offset = self.active.file.size
        cdef size_t total = data_record_bytes(key.size, value.size)
        hash_index_ask(&self.index, hash_)
        if self.prepare(kind, key, hash_, &entry) != 0:
            return fault_memory(fault)
        self.head(&record, kind, key, value, DATA_ALONE)
        cdef int error = self.active.file.env.reserve(self.active.file, total, &at)
        if error == 0:
            data_record_encode(at, &record, <uint32_t>self.active.number)
            data_pages_append(&self.active.pages, hash_, offset, at, total)     # before `at` is given back
            error = self.active.file.env.commit(self.active.file, total)
        if error != 0:
            self.unprepare(key, hash_)
            return fault_system(fault, self.active.file.name, error, b"cannot write to the data file")
        pthread_mutex_lock(&self.index_lock)
        self.lead_to(entry, &record, offset, total)
        if kind == KIND_DELETE and entry != NULL:
            hash_index_remove(&self.index, hash_, key)
        pthread_mutex_unlock(&self.index_lock)
        self.show_writes(record.sequence, key.size + value.size, total)
        sequence[0] = record.sequence
        return 0

    cdef inline void head(self, DataRecord *record, int kind, Slice key, Slice value, int place) noexcept nogil:
        record.kind = kind
        record.key = key
        record.value = value
        record.sequence = self.sequence + 1
        record.synced = lsm_load_relaxed(&self.synced)
        record.place = place
        record.count = 1
        record.seconds = <uint32_t>(self.active.file.env.now(self.active.file.env) // 1000000)

    cdef inline int prepare(self, int kind, Slice key, uint64_t hash_, HashEntry **entry) noexcept nogil:
        """Find the key's entry, with what can fail for want of memory done beforehand: -1 when there is none. An entry that
        is made here says that its key is absent."""
        cdef int status = 0
        entry[0] = hash_index_find(&self.index, hash_, key)
        if self.newest == NULL and (entry[0] != NULL or kind != KIND_PUT):
            return 0
        pthread_mutex_lock(&self.index_lock)
        if self.newest != NULL:
            status = undo_save(self.newest, hash_, key, entry[0])
        if status == 0 and entry[0] == NULL and kind == KIND_PUT:
            entry[0] = hash_index_insert(&self.index, hash_, key)
            status = -1 if entry[0] == NULL else 0
        pthread_mutex_unlock(&self.index_lock)
        return status

    cdef void unprepare(self, Slice key, uint64_t hash_) noexcept nogil:
        """The write is not made: its key has no entry if it had none before."""
        cdef HashEntry *entry
        pthread_mutex_lock(&self.index_lock)
        entry = hash_index_find(&self.index, hash_, key)
        if entry != NULL and entry.value_size == HASH_ABSENT:
            hash_index_remove(&self.index, hash_, key)
        pthread_mutex_unlock(&self.index_lock)

    cdef inline void lead_to(self, HashEntry *entry, const DataRecord *record, uint64_t offset, size_t total) noexcept nogil:
        """The index follows a record that was appended to the active file. A deleted key's entry says absent then."""
        if entry != NULL and entry.value_size != HASH_ABSENT:
            _take(&self.counts_of(entry.file).live, data_record_bytes(entry.key_size, entry.value_size))
            _take(&self.index.present, 1)
        if record.kind == KIND_DELETE:
            _add(&self.active.counts.tombstones, total)
            if entry != NULL:
                entry.value_size = HASH_ABSENT
            return
        hash_entry_set(entry, <uint32_t>self.active.number, <uint32_t>(offset >> 3), <uint32_t>record.value.size,
                       record.sequence)
        _add(&self.active.counts.live, total)
        _add(&self.index.present, 1)

    cdef inline void show_writes(self, uint64_t sequence, uint64_t given, uint64_t framed) noexcept nogil:
        lsm_store_relaxed(&self.bytes_written, self.bytes_written + given)
        lsm_store_relaxed(&self.log_bytes, self.log_bytes + framed)
        lsm_store_release(&self.sequence, sequence)

    def _rotate_now(self):
        """For flush: begin another data file, if the active one holds anything."""
        if self.gate & ~GATE_SLOW:
            self._refuse()
        self.lock_writes()
        self.holder = PyThread_get_thread_ident()
        try:
            if self.gate & ~GATE_SLOW:
                self._refuse()
            if self._must_not_rotate():
                self._check_entry()
            if self.active is not None and self.active.file.size > LOG_HEADER_BYTES:
                self._uninterrupted(self._retire_active)
        finally:
            self.holder = 0
            self.unlock_writes()

    def _retire_active(self):
        """Go on without an active file. Called under the write lock."""
        raise NotImplementedError
