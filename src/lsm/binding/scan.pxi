"""Scan, Cursor and Snapshot: reading a range, walking, and a moment that holds still.

All three refer to their store and learn from its gate that it was closed. A Scan and a Cursor also hold the view they
began with, so that nothing they stand on can go away under them, whatever is flushed, compacted or closed meanwhile.
Threads: one thread at a time each; a second one that comes while the first waits for the disk gets BusyError.
"""
import operator as _operator


@cython.no_gc_clear         # __dealloc__ needs the view
cdef class Reader:
    """What Scan and Cursor share: rows of one view at one moment."""
    cdef Store store
    cdef View view
    cdef Visible rows
    cdef bint opened
    cdef bint busy
    cdef PyObject *before               # neighbours among the open readers of the store; borrowed
    cdef PyObject *behind

    def __cinit__(self, Store store not None):
        self.store = store

    def __dealloc__(self):
        self.let_go()

    cdef int open(self, View view, uint64_t sequence) except -1:
        visible_init(&self.rows, sequence)
        if view.cursors(&self.rows.merge) != 0:
            merge_close(&self.rows.merge)
            raise MemoryError
        self.opened = True
        self.view = view
        self.behind = self.store.readers
        self.before = NULL
        if self.behind != NULL:
            (<Reader>self.behind).before = <PyObject *>self
        self.store.readers = <PyObject *>self
        return 0

    cdef int let_go(self) except -1:
        """Leave the store's list and free what is held."""
        if not self.opened:
            return 0
        self.opened = False
        if self.before != NULL:
            (<Reader>self.before).behind = self.behind
        else:
            self.store.readers = self.behind
        if self.behind != NULL:
            (<Reader>self.behind).before = self.before
        visible_close(&self.rows)
        self.view = None
        return 0

    cdef inline int enter(self) except -1:
        if self.store.gate & GATE_SHUT:
            if not self.busy:
                self.let_go()
            self.store._refuse()
        if not self.opened:
            raise ClosedError("this cursor is closed: make another one with db.cursor()")
        if self.busy:
            raise BusyError("another thread is using this object: give each thread its own")
        self.busy = True
        return 0

    cdef inline int leave(self, int status, Fault *fault) except -1:
        self.busy = False
        if status != 0:
            raise_fault(fault, self.view.directory.path)
        return 0

    def close(self):
        """Let go of what is held. May be called again."""
        if self.busy:
            raise BusyError("another thread is using this object: give each thread its own")
        self.let_go()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} belongs to its process and cannot be pickled")


@cython.final
@cython.no_gc_clear
cdef class Scan(Reader):
    """The rows of a range, as an iterator: see `DB.scan`."""
    cdef bint begun
    cdef bint ended
    cdef bint reverse
    cdef bint with_keys
    cdef bint with_values
    cdef int64_t left                       # rows, -1 for no limit

    cdef int bound(self, start, stop, prefix, bint include_start, bint include_stop) except -1:
        """Turn start, stop and prefix into one half-open range."""
        cdef Borrowed b
        if prefix is not None:
            borrow(prefix, &b, "prefixes")
            try:
                self.lower_to(b.slice, False)
                self.upper_to_prefix_end(b.slice)
            finally:
                give_back(&b)
        if start is not None:
            borrow(start, &b, "keys")
            try:
                self.lower_to(b.slice, not include_start)
            finally:
                give_back(&b)
        if stop is not None:
            borrow(stop, &b, "keys")
            try:
                self.upper_to(b.slice, include_stop)
            finally:
                give_back(&b)
        return 0

    cdef int lower_to(self, Slice key, bint after) except -1:
        """Raise the lower bound to `key`, or to just after it (the key and a zero byte)."""
        cdef Buffer bound
        buffer_init(&bound)
        _bound_set(&bound, key, after)
        if self.rows.has_lower and compare_slices(buffer_slice(&bound), buffer_slice(&self.rows.lower)) <= 0:
            buffer_free(&bound)
            return 0
        buffer_free(&self.rows.lower)
        self.rows.lower = bound
        self.rows.has_lower = True
        return 0

    cdef int upper_to(self, Slice key, bint after) except -1:
        cdef Buffer bound
        buffer_init(&bound)
        _bound_set(&bound, key, after)
        if self.rows.has_upper and compare_slices(buffer_slice(&bound), buffer_slice(&self.rows.upper)) >= 0:
            buffer_free(&bound)
            return 0
        buffer_free(&self.rows.upper)
        self.rows.upper = bound
        self.rows.has_upper = True
        return 0

    cdef int upper_to_prefix_end(self, Slice prefix) except -1:
        """The first key that sorts behind every key with the prefix: drop 0xFF bytes off its end, add one to the last."""
        cdef size_t size = prefix.size
        cdef bytearray end
        cdef Borrowed b
        while size > 0 and prefix.data[size - 1] == 0xFF:
            size -= 1
        if size == 0:
            return 0
        end = bytearray(bytes_of(slice_of(prefix.data, size)))
        end[size - 1] += 1
        borrow(end, &b, "prefixes")
        try:
            self.upper_to(b.slice, False)
        finally:
            give_back(&b)
        return 0

    cdef int shape(self, bint reverse, limit, bint keys, bint values) except -1:
        self.reverse = reverse
        self.with_keys = keys
        self.with_values = values
        self.left = -1
        if limit is not None:
            limit = _operator.index(limit)              # TypeError for what is no whole number
            if limit < 0:
                raise ValueError(f"limit counts rows and cannot be {limit}")
            self.left = min(limit, <int64_t>0x7FFFFFFFFFFFFFFF)
        return 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef Fault fault
        cdef int status
        if self.store.gate & GATE_SHUT:
            self.store._refuse()
        if self.ended or self.left == 0:
            self.end()
            raise StopIteration
        self.enter()
        if self.begun:
            status = (visible_prev if self.reverse else visible_next)(&self.rows, &fault)
        else:
            self.begun = True
            status = (visible_last if self.reverse else visible_first)(&self.rows, &fault)
        self.leave(status, &fault)
        if not self.rows.valid:
            self.end()
            raise StopIteration
        if self.left > 0:
            self.left -= 1
        if not self.with_values:
            return bytes_of(self.rows.key)
        if not self.with_keys:
            return bytes_of(self.rows.value)
        return bytes_of(self.rows.key), bytes_of(self.rows.value)

    cdef int end(self) except -1:
        """The rows are all out: let go of the view now rather than when the last reference goes."""
        self.ended = True
        self.close()
        return 0


cdef int _bound_set(Buffer *bound, Slice key, bint after) except -1:
    if buffer_set(bound, key) != 0 or buffer_reserve(bound, 1) != 0:
        raise MemoryError
    if after:
        bound.data[bound.size] = 0
        bound.size += 1
    return 0


@cython.final
@cython.no_gc_clear
cdef class Cursor(Reader):
    """A place in the order of the keys that can be moved both ways. Every move answers whether it stands on a row.

    >>> cursor = db.cursor()                                # doctest: +SKIP
    >>> cursor.seek(b"r"), cursor.key                       # doctest: +SKIP
    (True, b'rwanda:capital')
    """

    def seek(self, key):
        """To the first row whose key is not below `key`."""
        cdef Fault fault
        cdef Borrowed k
        cdef int status
        self.enter()
        try:
            borrow(key, &k, "keys")
        except BaseException:
            self.busy = False
            raise
        status = visible_seek(&self.rows, k.slice, &fault)
        give_back(&k)
        self.leave(status, &fault)
        return self.rows.valid

    def seek_before(self, key):
        """To the last row whose key is below `key`."""
        cdef Fault fault
        cdef Borrowed k
        cdef int status
        self.enter()
        try:
            borrow(key, &k, "keys")
        except BaseException:
            self.busy = False
            raise
        status = visible_seek_before(&self.rows, k.slice, &fault)
        give_back(&k)
        self.leave(status, &fault)
        return self.rows.valid

    def first(self):
        """To the first row of all."""
        cdef Fault fault
        self.enter()
        self.leave(visible_first(&self.rows, &fault), &fault)
        return self.rows.valid

    def last(self):
        """To the last row of all."""
        cdef Fault fault
        self.enter()
        self.leave(visible_last(&self.rows, &fault), &fault)
        return self.rows.valid

    def next(self):
        """To the next row. Off the end, and from there, it stays where there is no row."""
        cdef Fault fault
        self.enter()
        self.leave(visible_next(&self.rows, &fault) if self.rows.valid else 0, &fault)
        return self.rows.valid

    def prev(self):
        """To the row before."""
        cdef Fault fault
        self.enter()
        self.leave(visible_prev(&self.rows, &fault) if self.rows.valid else 0, &fault)
        return self.rows.valid

    @property
    def valid(self):
        """Does it stand on a row?"""
        return self.here()

    @property
    def key(self):
        """The key it stands on, None where there is no row."""
        return bytes_of(self.rows.key) if self.here() else None

    @property
    def value(self):
        """The value it stands on, None where there is no row."""
        return bytes_of(self.rows.value) if self.here() else None

    cdef bint here(self) except -1:
        self.enter()
        self.busy = False
        return self.rows.valid


@cython.no_gc_clear         # __dealloc__ needs the store
cdef class Snapshot:
    """The database as it was at one moment: get, [], in, multi_get, scan, cursor, iteration, len.

    It costs nothing to take; while it is open, compaction keeps what it can see. Close it, or use `with`.
    """
    cdef Store store
    cdef readonly uint64_t sequence
    cdef bint open
    cdef object __weakref__

    def __cinit__(self, Store store not None):
        self.store = store
        self.sequence = lsm_load_acquire(&store.sequence)
        store.moments[self.sequence] = store.moments.get(self.sequence, 0) + 1
        self.open = True

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        if self.open:
            self.open = False
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
        return self.store.find(key, self.store.view, self.sequence, default)

    def __getitem__(self, key):
        self.enter()
        cdef object value = self.store.find(key, self.store.view, self.sequence, _missing)
        if value is _missing:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        self.enter()
        return self.store.find(key, self.store.view, self.sequence, _missing) is not _missing

    def multi_get(self, keys, default=None):
        """The values of many keys at the moment; `default` where there was none."""
        self.enter()
        cdef View view = self.store.view
        return [self.store.find(key, view, self.sequence, default) for key in keys]

    def scan(self, start=None, stop=None, *, prefix=None, bint include_start=True, bint include_stop=False,
             bint reverse=False, limit=None, bint keys=True, bint values=True):
        """As `DB.scan`, at the moment of the snapshot."""
        self.enter()
        return self.store.scan_at(self.store.view, self.sequence, start, stop, prefix, include_start, include_stop, reverse, limit,
                                  keys, values)

    def cursor(self):
        """As `DB.cursor`, at the moment of the snapshot."""
        self.enter()
        cdef Cursor cursor = Cursor(self.store)
        cursor.open(self.store.view, self.sequence)
        return cursor

    def __iter__(self):
        return self.scan(values=False)

    def __len__(self):
        """The number of keys at the moment. It counts them."""
        cdef uint64_t count = 0
        for _ in self.scan(values=False):
            count += 1
        return count

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
