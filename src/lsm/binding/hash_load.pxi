"""HashLoader: how the index of a hashlog is filled when it is opened: from hints, from data files, from what was being written.

Records come in any order of files: of each key the one with the highest sequence counts. A deletion's entry, which says that its
key is absent, stays until all is loaded.

Threads: one, before anybody else sees the database.
"""


cdef enum:
    LOAD_AHEAD = 32                     # keys whose place in the index is asked for together


cdef class HashLoader(HashBatchWriter):
    def _begin_hash(self, uint64_t sequence, uint64_t synced):
        """After recovery: the last write there is, and the last of those in files made for keeping."""
        self.sequence = sequence
        self.recovered = sequence
        self.synced = synced

    def _load_hint(self, bytes hint not None, DataFile file not None, bytes database not None):
        """Enter what a hint says. Answers what is wrong with the hint, or None; then nothing was entered that the file does
        not hold."""
        cdef const char *wrong
        cdef uint64_t entries = 0
        cdef const uint8_t *identity = _identity(database)
        cdef Slice data = slice_of_bytes(hint)
        cdef int status = 0
        with nogil:
            wrong = hint_check(data, file.number, identity, file.ends, &entries)
            if wrong == NULL:
                status = self.load_hint(data, file, entries)
        if wrong != NULL:
            return wrong.decode()
        if status > 0:
            return "it says what no version wrote"
        if status < 0:
            raise MemoryError
        return None

    cdef int load_hint(self, Slice data, DataFile file, uint64_t entries) noexcept nogil:
        cdef Input left = hint_entries(data)
        cdef HintEntry some[LOAD_AHEAD]
        cdef uint64_t hashes[LOAD_AHEAD]
        cdef uint64_t fitting = 0
        cdef unsigned int ahead
        cdef unsigned int i
        while hint_next(&left, &some[0]) == 0 and _hint_fits(&some[0], file.ends):
            fitting += 1
        if fitting != entries or input_left(&left) != 0:
            return 1
        left = hint_entries(data)
        while entries > 0:
            ahead = <unsigned int>min(entries, <uint64_t>LOAD_AHEAD)
            for i in range(ahead):
                hint_next(&left, &some[i])
                hashes[i] = key_hash(some[i].key)
                hash_index_ask(&self.index, hashes[i])
            for i in range(ahead):
                hash_index_ask_entry(&self.index, hashes[i])
            for i in range(ahead):
                if self.load(some[i].key, hashes[i], tag_kind(some[i].tag), tag_sequence(some[i].tag), file,
                             some[i].offset, some[i].value_size) != 0:
                    return -1
            entries -= ahead
        return 0

    cdef int load(self, Slice key, uint64_t hash_, int kind, uint64_t sequence, DataFile file, uint32_t offset,
                  uint32_t value_size) noexcept nogil:
        """Enter one record, unless a newer one of its key was met. Of a deletion the entry stays, until all is loaded."""
        cdef HashEntry *entry = hash_index_find(&self.index, hash_, key)
        if entry == NULL:
            entry = hash_index_insert(&self.index, hash_, key)
            if entry == NULL:
                return -1
        if hash_entry_sequence(entry) < sequence:
            hash_entry_set(entry, <uint32_t>file.number, offset, value_size if kind == KIND_PUT else HASH_ABSENT, sequence)
        if kind == KIND_DELETE:
            file.counts.tombstones += data_record_bytes(key.size, 0)
        return 0

    def _load_image(self, bytes image not None, DataFile file not None, bytes database not None):
        """Enter every record of a file made for keeping, all of whose bytes are given."""
        cdef Fault fault
        cdef LogReader reader
        cdef RecordHeader header
        cdef DataRecord record
        cdef bytes name = file.name.encode()
        cdef const uint8_t *identity = _identity(database)
        cdef int status
        cdef size_t at
        _data_reader(&reader, slice_of_bytes(image), file.number, name)
        with nogil:
            status = log_header_check(&reader, file.number, identity, &fault)
            while status == 0 and reader.at < reader.size:
                status = _next_record(&reader, &header, &record, &fault)
                at = reader.at - record_bytes(header.size)
                if status == 0 and self.load(record.key, key_hash(record.key), record.kind, record.sequence, file,
                                             <uint32_t>(at >> 3), <uint32_t>record.value.size) != 0:
                    status = fault_memory(&fault)
        if status != 0:
            raise_fault(&fault, file.directory.path)

    def _replay(self, bytes image not None, DataFile file not None, bytes database not None, uint64_t sequence):
        """Enter every whole record and batch of a file that was being written to, in order, as `replay_log` does; `sequence` is
        that of the last write recovered before. Answers (last sequence, offset where the run ended, whether in a tear, highest
        sync watermark). Raises CorruptionError where bytes are damaged."""
        cdef Fault fault
        cdef LogReader reader
        cdef RecordHeader header
        cdef bytes name = file.name.encode()
        cdef const uint8_t *identity = _identity(database)
        cdef int tail = TAIL_CLEAN
        cdef int status
        _data_reader(&reader, slice_of_bytes(image), file.number, name)
        reader.sequence = sequence
        with nogil:
            status = log_header_check(&reader, file.number, identity, &fault)
            while status == 0 and log_next(&reader, &header):
                status = self.replay(&reader, &header, file, &fault)
            if status == 0:
                status = log_tail(&reader, &tail, &fault)
        if status != 0:
            raise_fault(&fault, file.directory.path)
        return reader.sequence, reader.at, tail == TAIL_TORN, reader.synced

    cdef int replay(self, LogReader *reader, const RecordHeader *head, DataFile file, Fault *fault) noexcept nogil:
        """Enter the record, or the records of the batch, before the reader's place."""
        cdef LogReader inside = reader[0]
        cdef RecordHeader header
        cdef DataRecord record
        cdef uint64_t expected = head.sequence
        inside.size = reader.at
        inside.at = reader.at - record_bytes(head.size)
        while inside.at < inside.size:
            if _next_record(&inside, &header, &record, fault) != 0:
                return -1
            if record.sequence != expected or expected >= head.sequence + head.count:
                return fault_corrupt(fault, reader.name, inside.at, b"the records of a batch are not in sequence")
            if self.load(record.key, key_hash(record.key), record.kind, record.sequence, file,
                         <uint32_t>((inside.at - record_bytes(header.size)) >> 3), <uint32_t>record.value.size) != 0:
                return fault_memory(fault)
            expected += 1
        if expected != head.sequence + head.count:
            return fault_corrupt(fault, reader.name, inside.at, b"a batch holds other records than its header says")
        return 0

    def _loaded(self):
        """All has been loaded: forget deletions, count what is live. The files are on show."""
        cdef HashWalk walk
        cdef HashEntry *entry
        memset(&walk, 0, sizeof(walk))
        with nogil:
            hash_index_forget_absent(&self.index)
            self.index.present = self.index.entries
            entry = hash_index_next(&self.index, &walk)
            while entry != NULL:
                self.counts_of(entry.file).live += data_record_bytes(entry.key_size, entry.value_size)
                entry = hash_index_next(&self.index, &walk)


cdef bint _hint_fits(const HintEntry *entry, uint64_t ends) noexcept nogil:
    """Is it of a record that the file can hold?"""
    cdef uint64_t offset = <uint64_t>entry.offset << 3
    cdef size_t total
    if tag_kind(entry.tag) > KIND_PUT or tag_sequence(entry.tag) == 0 or tag_sequence(entry.tag) > hash_sequence_max():
        return False
    if entry.value_size > <uint32_t>VALUE_BYTES_MAX or offset < LOG_HEADER_BYTES or offset > ends:
        return False
    total = data_record_bytes(entry.key.size, entry.value_size)
    return total <= ends - offset
