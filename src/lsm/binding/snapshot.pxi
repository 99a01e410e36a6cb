"""Snapshot: a moment that holds still.

It is a sequence number that the store knows is in use, so that flush and compaction keep what is visible at it. It
holds no view: it reads through the store's present one. Threads: any.
"""
@cython.no_gc_clear         # __dealloc__ needs the store
cdef class Snapshot:
    """The database as it was at one moment: get, [], in, multi_get, scan, cursor, iteration, len. Made by `DB.snapshot`.

    It costs nothing to take; while it is open, compaction keeps what it can see. Close it, or use `with`. `sequence`
    is the number of the last write it sees. Any thread. Its methods raise as those of the database, and ClosedError
    when it, or the database, is closed.

    >>> db[b"a"] = b"1"
    >>> with db.snapshot() as then:
    ...     del db[b"a"]
    ...     list(then.scan()), list(db.scan())
    ([(b'a', b'1')], [])
    """
    cdef Store store
    cdef readonly uint64_t sequence
    cdef lsm_atomic_int open
    cdef object __weakref__

    def __cinit__(self, Store store not None):
        self.store = store
        with cython.critical_section(store):            # one step with that in which a flush looks at the moments
            self.sequence = lsm_load_acquire(&store.sequence)
            store.moments[self.sequence] = store.moments.get(self.sequence, 0) + 1
        self.open = 1

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        if not lsm_swap(&self.open, 0) or self.store.moments is None:      # the collector was at the store before
            return
        with cython.critical_section(self.store):
            count = self.store.moments[self.sequence] - 1
            if count:
                self.store.moments[self.sequence] = count
            else:
                del self.store.moments[self.sequence]

    def close(self):
        """Let the moment go. May be called again."""
        self.release()

    @property
    def closed(self):
        """Has it, or its database, been closed?"""
        return not self.open or bool(self.store.gate & GATE_SHUT)

    cdef int enter(self) except -1:
        if self.store.gate & GATE_SHUT:
            self.store._refuse()
        if not self.open:
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        return 0

    def get(self, key, default=None):
        """The value `key` had at the moment, or `default`."""
        self.enter()
        return self.store.find(key, self.store.present(), self.sequence, default)

    def __getitem__(self, key):
        self.enter()
        cdef object value = self.store.find(key, self.store.present(), self.sequence, _missing)
        if value is _missing:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        self.enter()
        return self.store.find(key, self.store.present(), self.sequence, _missing) is not _missing

    def multi_get(self, keys, default=None):
        """The values of many keys at the moment; `default` where there was none."""
        self.enter()
        return self.store.find_many(keys, self.store.present(), self.sequence, default)

    def scan(self, start=None, stop=None, *, prefix=None, bint include_start=True, bint include_stop=False,
             bint reverse=False, limit=None, bint keys=True, bint values=True):
        """As `DB.scan`, at the moment of the snapshot."""
        self.enter()
        return self.store.scan_at(self.store.present(), self.sequence, start, stop, prefix, include_start, include_stop,
                                  reverse, limit, keys, values)

    def scan_chunks(self, start=None, stop=None, *, prefix=None, bint include_start=True, bint include_stop=False,
                    bint reverse=False, limit=None, bint keys=True, bint values=True, chunk_bytes=1048576):
        """As `DB.scan_chunks`, at the moment of the snapshot."""
        self.enter()
        return self.store.chunks_at(self.store.present(), self.sequence, start, stop, prefix, include_start, include_stop, reverse,
                                    limit, keys, values, chunk_bytes)

    def cursor(self):
        """As `DB.cursor`, at the moment of the snapshot."""
        self.enter()
        cdef Cursor cursor = Cursor(self.store)
        cursor.open(self.store.present(), self.sequence)
        return cursor

    def __iter__(self):
        return self.scan(values=False)

    def __reversed__(self):
        return self.scan(values=False, reverse=True)

    def __len__(self):
        """The number of keys at the moment. It counts them."""
        self.enter()
        return self.store.count_at(self.store.present(), self.sequence)

    def __bool__(self):
        for _ in self.scan(values=False, limit=1):
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __reduce__(self):
        raise TypeError("a Snapshot belongs to its process and cannot be pickled")
