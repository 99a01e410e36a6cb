"""HashStore: the compiled half of a hashlog (a Bitcask): what Gate, GroupSync and Writer do, over data files and a hash index.

A write: pass the gate, take the write lock, make sure of the memory (an entry for each new key, that says it is absent; what
snapshots must still see), append to the active data file, then lead the index there. A read: look in the index, then read one
record, from the cache or the file.

Invariants
- The index leads to the newest record of each key, and `files` has every file that the index or a snapshot leads to.
- Entries are made and removed by the holder of the write lock alone; the index lock is held for every change and every look of
  others. A batch is shown under one hold of it: seen whole or not at all.

Locks: the write lock, then the index lock, which is held for C alone: no Python runs under it, and its holder never waits for
the GIL.
"""
from lsm.core.hash_index cimport (
    HASH_ABSENT, HASH_SEGMENT_BITS, HashEntry, HashIndex, HashWalk, hash_entry_sequence, hash_entry_set, hash_entry_slice,
    hash_index_ask, hash_index_ask_entry, hash_index_bytes, hash_index_find, hash_index_forget_absent, hash_index_free,
    hash_index_init, hash_index_insert, hash_index_next, hash_index_remove, hash_sequence_max,
)


cdef enum:
    LOAD_AHEAD = 32                     # hints whose place in the index is asked for together
    RELOCATE_STEPS = 512                # entries led elsewhere under one hold of the index lock


ctypedef struct FileSlot:
    PyObject *file                      # borrowed from `files`
    FileCounts *counts
    DataPages *pages


cdef struct Undo                        # hash_moment.pxi


cdef class HashStore(Writer):
    cdef pthread_mutex_t index_lock
    cdef HashIndex index
    cdef dict files                     # number -> DataFile; replaced, never changed
    cdef FileSlot *slots                # the same by number, from `first_slot` on
    cdef uint64_t first_slot
    cdef uint64_t slot_count
    cdef DataFile active
    cdef DataPages *newest_pages        # of it, or NULL
    cdef readonly uint64_t wanted       # bytes that the write which asks for another file needs
    cdef uint64_t hash_gets
    cdef uint64_t moments               # counted since it was opened
    cdef Undo *newest                   # what the snapshots keep
    cdef Undo *oldest

    def __cinit__(self):
        pthread_mutex_init(&self.index_lock, NULL)
        self.files = {}
        if hash_index_init(&self.index, HASH_SEGMENT_BITS) != 0:
            raise MemoryError

    def __dealloc__(self):
        hash_index_free(&self.index)
        free(self.slots)
        pthread_mutex_destroy(&self.index_lock)

    cdef inline void lock_index(self) noexcept:
        """Take the index lock while holding the GIL. It is only ever taken at once: who waits without the GIL would then wait for
        that with the lock held."""
        while pthread_mutex_trylock(&self.index_lock) != 0:
            with nogil:
                pthread_mutex_lock(&self.index_lock)
                pthread_mutex_unlock(&self.index_lock)

    cdef inline void unlock_index(self) noexcept nogil:
        pthread_mutex_unlock(&self.index_lock)

    cdef inline FileCounts *counts_of(self, uint32_t number) noexcept nogil:
        return self.slots[number - self.first_slot].counts

    # ------------------------------------------------------------------------------------------------- writing

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
            self.counts_of(entry.file).live -= data_record_bytes(entry.key_size, entry.value_size)
            self.index.present -= 1
        if record.kind == KIND_DELETE:
            self.active.counts.tombstones += total
            if entry != NULL:
                entry.value_size = HASH_ABSENT
            return
        hash_entry_set(entry, <uint32_t>self.active.number, <uint32_t>(offset >> 3), <uint32_t>record.value.size,
                       record.sequence)
        self.active.counts.live += total
        self.index.present += 1

    cdef inline void show_writes(self, uint64_t sequence, uint64_t given, uint64_t framed) noexcept nogil:
        lsm_store_relaxed(&self.bytes_written, self.bytes_written + given)
        lsm_store_relaxed(&self.log_bytes, self.log_bytes + framed)
        lsm_store_release(&self.sequence, sequence)

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

    # ------------------------------------------------------------------------------------------------- reading

    cdef object value_of(self, object key, object default):
        cdef Borrowed k
        cdef DataPlace place
        cdef DataFile file
        cdef HashEntry *entry
        cdef uint64_t hash_
        if self.gate & GATE_SHUT:
            self._refuse()
        borrow(key, &k, "keys")
        lsm_store_relaxed(&self.hash_gets, lsm_load_relaxed(&self.hash_gets) + 1)
        try:
            hash_ = key_hash(k.slice)
            self.lock_index()
            if self.newest_pages != NULL:
                hash_index_ask(&self.index, hash_)
                data_pages_guess(self.newest_pages, hash_)
            entry = hash_index_find(&self.index, hash_, k.slice)
            if entry == NULL or entry.value_size == HASH_ABSENT:
                self.unlock_index()
                if self.gate & GATE_SHUT:
                    self._refuse()              # closed meanwhile: then there is nothing in the index
                return default
            _place_of(entry, &place)
            data_pages_ask(self.slots[entry.file - self.first_slot].pages, place.offset)
            file = <DataFile>self.slots[entry.file - self.first_slot].file
            self.unlock_index()
            return file.value_at(&place, k.slice)
        finally:
            give_back(&k)

    def get(self, key, default=None):
        """The value of `key` as bytes, or `default`. A key over the limit is just not there.

        Raises CorruptionError when what is on disk is not what was written, StorageError when it cannot be read,
        TypeError, ClosedError. Cost: a look in memory, and one record read, from the block cache or the file.
        """
        return self.value_of(key, default)

    def __getitem__(self, key):
        cdef object value = self.value_of(key, _missing)
        if value is _missing:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        cdef Borrowed k
        cdef HashEntry *entry
        cdef bint there
        if self.gate & GATE_SHUT:
            self._refuse()
        borrow(key, &k, "keys")
        self.lock_index()
        entry = hash_index_find(&self.index, key_hash(k.slice), k.slice)
        there = entry != NULL and entry.value_size != HASH_ABSENT
        self.unlock_index()
        give_back(&k)
        if self.gate & GATE_SHUT:
            self._refuse()
        return there

    def multi_get(self, keys, default=None):
        """The values of many keys as a list, in their order, all of one moment; `default` where there is none."""
        cdef list wanted = list(keys)
        cdef size_t count = len(wanted)
        cdef Borrowed *borrowed = <Borrowed *>malloc((count + 1) * sizeof(Borrowed))
        cdef DataPlace *places = <DataPlace *>malloc((count + 1) * sizeof(DataPlace))
        cdef uint32_t *numbers = <uint32_t *>malloc((count + 1) * sizeof(uint32_t))
        cdef size_t ready = 0
        cdef size_t i
        cdef dict files
        cdef DataFile file
        cdef list values = [default] * count
        try:
            if borrowed == NULL or places == NULL or numbers == NULL:
                raise MemoryError
            if self.gate & GATE_SHUT:
                self._refuse()
            for i in range(count):
                borrow(wanted[i], &borrowed[i], "keys")
                ready = i + 1
            lsm_store_relaxed(&self.hash_gets, lsm_load_relaxed(&self.hash_gets) + count)
            self.lock_index()
            self.find_places(borrowed, count, places, numbers)
            files = self.files
            self.unlock_index()
            if self.gate & GATE_SHUT:
                self._refuse()
            for i in range(count):
                if numbers[i] != 0:
                    file = files[numbers[i]]
                    values[i] = file.value_at(&places[i], borrowed[i].slice)
            return values
        finally:
            for i in range(ready):
                give_back(&borrowed[i])
            free(borrowed)
            free(places)
            free(numbers)

    cdef void find_places(self, const Borrowed *borrowed, size_t count, DataPlace *places, uint32_t *numbers) noexcept nogil:
        """Where the records of these keys lie; number 0 for what is not there. The keys wait for memory together."""
        cdef uint64_t hashes[LOAD_AHEAD]
        cdef HashEntry *entry
        cdef size_t start = 0
        cdef size_t some
        cdef size_t i
        while start < count:
            some = min(count - start, <size_t>LOAD_AHEAD)
            for i in range(some):
                hashes[i] = key_hash(borrowed[start + i].slice)
                hash_index_ask(&self.index, hashes[i])
            for i in range(some):
                hash_index_ask_entry(&self.index, hashes[i])
            for i in range(some):
                entry = hash_index_find(&self.index, hashes[i], borrowed[start + i].slice)
                numbers[start + i] = 0
                if entry != NULL and entry.value_size != HASH_ABSENT:
                    numbers[start + i] = entry.file
                    _place_of(entry, &places[start + i])
                    data_pages_ask(self.slots[entry.file - self.first_slot].pages, places[start + i].offset)
            start += some

    def __len__(self):
        """The number of keys; it is known."""
        if self.gate & GATE_SHUT:
            self._refuse()
        return lsm_load_relaxed(&self.index.present)

    def __bool__(self):
        return len(self) > 0

    # ------------------------------------------------------------------------------------------- for the Python half

    def _show_files(self, dict files not None, tuple logs not None, DataFile active):
        """From now on these are the files (number -> DataFile) that are looked into; `logs` are those of them that are not yet
        made for keeping, oldest first; `active` is written to, None: the next write has to rotate first. Under the write lock
        when that changes."""
        cdef uint64_t first = min(files) if files else 1
        cdef uint64_t count = max(files) - first + 1 if files else 1
        cdef FileSlot *slots = <FileSlot *>calloc(count, sizeof(FileSlot))
        cdef FileSlot *before = self.slots
        cdef dict replaced = self.files
        cdef DataFile file
        cdef DataFile was = self.active
        cdef list heirs = [file for file in files.values() if (<DataFile>file).before is not None]
        if slots == NULL:
            raise MemoryError
        for number, file in files.items():
            slots[<uint64_t>number - first].file = <PyObject *>file
            slots[<uint64_t>number - first].counts = &file.counts
            slots[<uint64_t>number - first].pages = &file.pages
        self.lock_index()
        for file in heirs:
            file.counts = file.before.counts
        self.slots = slots
        self.newest_pages = &active.pages if active is not None else NULL
        self.first_slot = first
        self.slot_count = count
        self.files = files
        self.unlock_index()
        for file in heirs:
            file.before = None
        free(before)
        lsm_guard_lock(&self.guard)
        self.logs = logs
        lsm_guard_unlock(&self.guard)
        if self.active is not active:                   # only under the write lock, or before and after all writing
            self.prepare_for(active, None)
            self.active = active

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
        """Lead the index to a merged file, which is on show: for every key whose newest record is the one that was copied."""
        cdef Input left = hint_entries(slice_of_bytes(hint))
        cdef HintEntry entry
        cdef HashEntry *found
        cdef size_t steps = 0
        cdef size_t total
        with nogil:
            pthread_mutex_lock(&self.index_lock)
            while hint_next(&left, &entry) == 0:
                total = data_record_bytes(entry.key.size, entry.value_size)
                if tag_kind(entry.tag) == KIND_DELETE:
                    file.counts.tombstones += total
                    continue
                found = hash_index_find(&self.index, key_hash(entry.key), entry.key)
                if found != NULL and found.value_size != HASH_ABSENT and hash_entry_sequence(found) == tag_sequence(entry.tag):
                    self.counts_of(found.file).live -= total
                    hash_entry_set(found, <uint32_t>file.number, entry.offset, entry.value_size, tag_sequence(entry.tag))
                    file.counts.live += total
                steps += 1
                if steps % RELOCATE_STEPS == 0:
                    pthread_mutex_unlock(&self.index_lock)
                    sched_yield()
                    pthread_mutex_lock(&self.index_lock)
            pthread_mutex_unlock(&self.index_lock)

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

    @property
    def _logs(self):
        lsm_guard_lock(&self.guard)
        logs = self.logs
        lsm_guard_unlock(&self.guard)
        return logs

    def _drop_files(self):
        """After closing: let go of everything."""
        cdef HashIndex index
        self._show_files({}, (), None)
        if hash_index_init(&index, HASH_SEGMENT_BITS) != 0:
            return
        self.lock_index()
        index, self.index = self.index, index
        self.unlock_index()
        hash_index_free(&index)

    @property
    def _files(self):
        return self.files

    @property
    def _active(self):
        return self.active

    @property
    def _index_figures(self):
        """keys, bytes of keys, memory of the index."""
        self.lock_index()
        figures = (self.index.present, self.index.key_bytes, hash_index_bytes(&self.index))
        self.unlock_index()
        return figures

    @property
    def _counters(self):
        return {"bytes_written": lsm_load_relaxed(&self.bytes_written), "log_bytes": lsm_load_relaxed(&self.log_bytes),
                "syncs": lsm_load_relaxed(&self.syncs), "gets": lsm_load_relaxed(&self.hash_gets)}

    @property
    def _sequence(self):
        return lsm_load_acquire(&self.sequence)

    @property
    def _synced(self):
        return lsm_load_acquire(&self.synced)

    @property
    def _recovered(self):
        return self.recovered


cdef inline void _place_of(const HashEntry *entry, DataPlace *place) noexcept nogil:
    place.offset = <uint64_t>entry.offset << 3
    place.key_size = entry.key_size
    place.value_size = entry.value_size
    place.sequence = hash_entry_sequence(entry)


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
