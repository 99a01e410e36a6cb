"""HashMerger: what a merge of data files needs of the index: which records count, and leading it to their copies.

Threads: the background thread, while others read and write.
"""


cdef enum:
    RELOCATE_STEPS = 512                # entries of a hint looked at under one hold of the index lock


cdef class HashMerger(HashLoader):
    def _merge_image(self, bytes image not None, DataFile file not None, size_t start, size_t end, DataBuilder builder not None,
                     uint64_t drop_below):
        """Copy what is still needed of a file's records from `start` to `end` into the builder, until that is full: the newest
        of each key, and the deletions of `drop_below` or newer. Answers where it stopped. Raises CorruptionError."""
        cdef Fault fault
        cdef LogReader reader
        cdef RecordHeader header
        cdef DataRecord record
        cdef bytes name = file.name.encode()
        cdef int status = 0
        cdef size_t at = start
        _data_reader(&reader, slice_of_bytes(image), file.number, name)
        reader.at = start
        reader.size = min(end, reader.size)
        with nogil:
            while status == 0 and reader.at < reader.size:
                at = reader.at
                status = _next_record(&reader, &header, &record, &fault)
                if status == 0 and self.is_needed(&record, drop_below):
                    if not builder.has_room(&record):
                        break
                    if builder.add(&record) != 0:
                        status = fault_memory(&fault)
                at = reader.at
        if status != 0:
            raise_fault(&fault, file.directory.path)
        return at

    cdef bint is_needed(self, const DataRecord *record, uint64_t drop_below) noexcept nogil:
        cdef HashEntry *entry
        cdef bint needed
        if record.kind == KIND_DELETE:
            return record.sequence >= drop_below
        pthread_mutex_lock(&self.index_lock)
        entry = hash_index_find(&self.index, key_hash(record.key), record.key)
        needed = entry != NULL and entry.value_size != HASH_ABSENT and hash_entry_sequence(entry) == record.sequence
        pthread_mutex_unlock(&self.index_lock)
        return needed

    def _relocate(self, bytes hint not None, DataFile file not None):
        """Lead the index to a merged file, which is on show: for every key whose newest record is the one that was copied.
        Answers how often it took the index lock: others get it in between, whatever the hint is full of."""
        cdef Input left = hint_entries(slice_of_bytes(hint))
        cdef uint64_t holds = 0
        cdef int status = 0
        with nogil:
            while status == 0:
                pthread_mutex_lock(&self.index_lock)
                status = self.relocate_some(&left, file)
                pthread_mutex_unlock(&self.index_lock)
                holds += 1
                sched_yield()
        return holds

    cdef int relocate_some(self, Input *left, DataFile file) noexcept nogil:
        """Some entries of the hint. 0 when there may be more."""
        cdef HintEntry entry
        cdef HashEntry *found
        cdef size_t total
        cdef int step
        for step in range(RELOCATE_STEPS):
            if hint_next(left, &entry) != 0:
                return -1
            total = data_record_bytes(entry.key.size, entry.value_size)
            if tag_kind(entry.tag) == KIND_DELETE:
                _add(&file.counts.tombstones, total)
                continue
            found = hash_index_find(&self.index, key_hash(entry.key), entry.key)
            if found != NULL and found.value_size != HASH_ABSENT and hash_entry_sequence(found) == tag_sequence(entry.tag):
                _take(&self.counts_of(found.file).live, total)
                hash_entry_set(found, <uint32_t>file.number, entry.offset, entry.value_size, tag_sequence(entry.tag))
                _add(&file.counts.live, total)
        return 0

    def _sync_logs(self):
        """Make every file that is not yet made for keeping durable as far as it goes now. A failure is final for the store."""
        cdef Fault fault
        cdef SyncedFile file
        cdef int status
        for file in self._logs:
            if file.synced_whole:
                continue
            with nogil:
                status = file.sync(&fault)
            if status != 0:
                lsm_set_bits(&self.gate, GATE_FAILED)       # before anybody else may write or sync
                try:
                    raise_lasting(&fault, file.directory.path)
                except BaseException as error:
                    self.fail(error)
                    raise
            lsm_store_relaxed(&self.syncs, self.syncs + 1)
