"""HashStore: the compiled half of a hashlog (a Bitcask): what Gate, GroupSync and Writer do, over data files and a hash index;
here, how it is read.

A read: look in the index, then read one record, from the image of the file that is written to, the cache or the file.

Threads: any.
"""


cdef class HashStore(HashMerger):
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
