"""HashBatchWriter: how a hashlog writes a batch: each of its entries as a record, all or none.

Invariant: what can fail for want of memory is done for all entries before the first byte is written. The index follows all of
them under one hold of its lock.

Threads: as of HashWriter.
"""


cdef class HashBatchWriter(HashWriter):
    cdef int write_payload(self, const uint8_t *payload, size_t size, uint32_t count, size_t memory,
                           bint sync) except -1:
        """A whole batch, encoded as the payload of a log's record: here each of its entries is a record of its own."""
        cdef Fault fault
        cdef uint64_t sequence = 0
        cdef uint64_t framed = _framed_bytes(payload, size, count)
        cdef int status
        if count == 0:
            return 0
        if framed > DATA_FILE_BYTES_MAX - LOG_HEADER_BYTES:
            raise ValueError(f"a batch of {framed:,} bytes with its framing is over the limit of "
                             f"{<uint64_t>DATA_FILE_BYTES_MAX:,} bytes: write it as several")
        if sync:
            self.check_sync()                   # before anything is written
        self.begin_append(framed)
        if size < LONG_WRITE:
            status = self.append_payload(payload, size, count, framed, &sequence, &fault)
        else:
            with nogil:
                status = self.append_payload(payload, size, count, framed, &sequence, &fault)
        return self.end_append(status, sequence, sync, self.active, &fault)

    cdef int append_payload(self, const uint8_t *payload, size_t size, uint32_t count, size_t framed, uint64_t *sequence,
                            Fault *fault) noexcept nogil:
        cdef uint8_t *at = NULL
        cdef uint64_t offset = self.active.file.size
        cdef uint64_t given = 0
        cdef int error
        if self.prepare_payload(payload, size, count) != 0:
            self.unprepare_payload(payload, size, count)
            return fault_memory(fault)
        error = self.active.file.env.reserve(self.active.file, framed, &at)
        if error == 0:
            given = self.encode_payload(payload, size, count, at, offset)
            error = self.active.file.env.commit(self.active.file, framed)
        if error != 0:
            self.unprepare_payload(payload, size, count)
            return fault_system(fault, self.active.file.name, error, b"cannot write to the data file")
        self.lead_to_payload(payload, size, count, offset)
        sequence[0] = self.sequence + count
        self.show_writes(sequence[0], given, framed)
        return 0

    cdef int prepare_payload(self, const uint8_t *payload, size_t size, uint32_t count) noexcept nogil:
        cdef Input left = input_of(payload, size)
        cdef RecordEntry entry
        cdef HashEntry *found
        cdef uint32_t i
        entry.kind = KIND_PUT
        for i in range(count):
            if entry_decode(&left, &entry) != 0:
                return -1                           # cannot be: the batch encoded it, and holds still
            if self.prepare(entry.kind, entry.key, key_hash(entry.key), &found) != 0:
                return -1
        return 0

    cdef void unprepare_payload(self, const uint8_t *payload, size_t size, uint32_t count) noexcept nogil:
        cdef Input left = input_of(payload, size)
        cdef RecordEntry entry
        cdef uint32_t i
        entry.kind = KIND_PUT
        for i in range(count):
            if entry_decode(&left, &entry) != 0:
                return
            self.unprepare(entry.key, key_hash(entry.key))

    cdef uint64_t encode_payload(self, const uint8_t *payload, size_t size, uint32_t count, uint8_t *start,
                                 uint64_t offset) noexcept nogil:
        """Frame every entry as a record, and all of them, if there are several, as a batch. Answers the bytes of keys and
        values."""
        cdef Input left = input_of(payload, size)
        cdef RecordEntry entry
        cdef DataRecord record
        cdef uint8_t *at = start + _batch_head(count)
        cdef uint64_t given = 0
        cdef size_t total
        cdef uint32_t i
        entry.kind = KIND_PUT
        self.head(&record, KIND_PUT, slice_of(NULL, 0), slice_of(NULL, 0), DATA_INSIDE if count > 1 else DATA_ALONE)
        for i in range(count):
            if entry_decode(&left, &entry) != 0:
                break
            record.kind = entry.kind
            record.key = entry.key
            record.value = entry.value if entry.kind == KIND_PUT else slice_of(NULL, 0)
            total = data_record_bytes(record.key.size, record.value.size)
            data_record_encode(at, &record, <uint32_t>self.active.number)
            data_pages_append(&self.active.pages, key_hash(record.key), offset + <size_t>(at - start), at, total)
            at += total
            record.sequence += 1
            given += record.key.size + record.value.size
        if count > 1:
            record.sequence = self.sequence + 1
            record.count = count
            data_batch_seal(start, &record, <size_t>(at - start) - RECORD_HEADER_BYTES, <uint32_t>self.active.number)
        return given

    cdef void lead_to_payload(self, const uint8_t *payload, size_t size, uint32_t count, uint64_t offset) noexcept nogil:
        """The index follows all records of a batch, in one step to those who look."""
        cdef Input left = input_of(payload, size)
        cdef RecordEntry entry
        cdef DataRecord record
        cdef HashEntry *found
        cdef uint64_t hash_
        cdef size_t total
        cdef uint32_t i
        offset += _batch_head(count)
        entry.kind = KIND_PUT
        pthread_mutex_lock(&self.index_lock)
        for i in range(count):
            if entry_decode(&left, &entry) != 0:
                break
            record.kind = entry.kind
            record.value = entry.value if entry.kind == KIND_PUT else slice_of(NULL, 0)
            record.sequence = self.sequence + 1 + i
            total = data_record_bytes(entry.key.size, record.value.size)
            hash_ = key_hash(entry.key)
            self.lead_to(hash_index_find(&self.index, hash_, entry.key), &record, offset, total)
            offset += total
        left = input_of(payload, size)
        for i in range(count):
            if entry_decode(&left, &entry) != 0:
                break
            if entry.kind == KIND_DELETE:
                hash_ = key_hash(entry.key)
                found = hash_index_find(&self.index, hash_, entry.key)
                if found != NULL and found.value_size == HASH_ABSENT:
                    hash_index_remove(&self.index, hash_, entry.key)
        pthread_mutex_unlock(&self.index_lock)


cdef inline size_t _batch_head(uint32_t count) noexcept nogil:
    """A batch of one is a record."""
    return RECORD_HEADER_BYTES if count > 1 else 0


cdef uint64_t _framed_bytes(const uint8_t *payload, size_t size, uint32_t count) noexcept nogil:
    cdef Input left = input_of(payload, size)
    cdef RecordEntry entry
    cdef uint64_t framed = _batch_head(count)
    cdef uint32_t i
    entry.kind = KIND_PUT
    for i in range(count):
        if entry_decode(&left, &entry) != 0:
            break
        framed += data_record_bytes(entry.key.size, entry.value.size if entry.kind == KIND_PUT else 0)
    return framed
