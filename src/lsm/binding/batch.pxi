"""WriteBatch: writes gathered in memory, then written as one record: all of them or none, also across a crash.

It holds the payload of that record, already encoded (core/record.pxd), and what adding it will take of memory.
Threads: one at a time; different batches from different threads freely. What the GIL would keep apart a critical section
of the object does in a build without it; across a write, which gives both away, `busy` does.
"""
@cython.final
cdef class WriteBatch:
    """Writes gathered in memory, then written in one step: all of them or none, also across a crash. Made by
    `DB.write_batch`. Up to 1 GiB (ValueError).

    As a `with` block it is written at the end, or dropped when the block raises. Reading the database does not show
    what is gathered. Of two writes of one key the later one counts. One thread at a time: BusyError.

    >>> batch = db.write_batch(sync=True)
    >>> batch[b"a"] = b"1"
    >>> del batch[b"b"]                 # that it is not there is no error in a batch
    >>> len(batch), b"a" in db
    (2, False)
    >>> batch.write()
    >>> len(batch), db[b"a"]
    (0, b'1')
    """
    cdef Writer store
    cdef Buffer payload
    cdef uint32_t count
    cdef size_t memory
    cdef bint sync
    cdef bint busy                      # being written: it must hold still

    def __cinit__(self, Writer store not None):
        self.store = store
        buffer_init(&self.payload)

    def __dealloc__(self):
        buffer_free(&self.payload)

    def __len__(self):
        """Writes gathered so far."""
        return self.count

    def __bool__(self):
        return True

    cdef int enter(self) except -1:
        if self.store.gate & GATE_SHUT:
            self.store._refuse()
        if self.busy:
            raise BusyError("another thread is writing this batch: give each thread its own")
        return 0

    cdef int add(self, int kind, Slice key, Slice value) except -1:
        cdef size_t size = entry_payload(kind, key.size, value.size)
        if self.payload.size + size > BATCH_BYTES_MAX or self.count == 0xFFFFFFFF:
            raise ValueError(f"a batch may hold {<uint64_t>BATCH_BYTES_MAX:,} bytes: write this one and begin another")
        if buffer_reserve(&self.payload, size) != 0:
            raise MemoryError
        entry_encode(self.payload.data + self.payload.size, kind, key, value)
        self.payload.size += size
        self.memory += entry_bytes(key.size, value.size)
        self.count += 1
        return 0

    cdef int put_pair(self, object key, object value) except -1:
        cdef Borrowed k
        cdef Borrowed v
        self.enter()
        borrow_key(key, &k)
        try:
            borrow_value(value, &v)
            try:
                self.enter()                # borrowing may have run code of the user's
                self.add(KIND_PUT, k.slice, v.slice)
            finally:
                give_back(&v)
        finally:
            give_back(&k)
        return 0

    @cython.critical_section
    def put(self, key, value):
        """Set `key` to `value` when the batch is written. Both are copied now. TypeError and ValueError as `DB.put`."""
        self.put_pair(key, value)

    @cython.critical_section
    def delete(self, key):
        """Remove `key` when the batch is written; that it is not there is no error."""
        cdef Borrowed k
        self.enter()
        borrow_key(key, &k)
        try:
            self.enter()
            self.add(KIND_DELETE, k.slice, slice_of(NULL, 0))
        finally:
            give_back(&k)

    def __setitem__(self, key, value):
        self.put(key, value)

    def __delitem__(self, key):
        self.delete(key)

    @cython.critical_section
    def clear(self):
        """Forget what was gathered."""
        if self.busy:
            raise BusyError("another thread is writing this batch: give each thread its own")
        self.empty()

    cdef void empty(self) noexcept:
        self.payload.size = 0
        self.count = 0
        self.memory = 0

    @cython.critical_section
    def write(self):
        """Write what was gathered, in one step, and begin anew. Raises as `DB.put` does; what was gathered then stays."""
        self.enter()
        self.busy = True
        try:
            self.store.write_payload(self.payload.data, self.payload.size, self.count, self.memory, self.sync)
            self.empty()
        finally:
            self.busy = False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.write()
        else:
            self.clear()

    def __reduce__(self):
        raise TypeError("a WriteBatch belongs to its process and cannot be pickled")
