"""Reader and Scan: rows of a range, at one moment.

A Reader (Scan, and Cursor in cursor.pxi) refers to its store and learns from its gate that it was closed. It holds the
view it began with, so that nothing it stands on can go away under it, whatever is flushed, compacted or closed
meanwhile; the store keeps a list of the open ones, to end them when it is closed.

Threads: one thread at a time; a second one that comes while the first waits for the disk gets BusyError. `busy` is the
right to use `rows` and `view`; `opened` and the places in the list change with the list's guard held too, so that whoever
closes the store can take them over from a reader that nobody uses, without a reference to it.
"""
import operator as _operator


@cython.no_gc_clear         # __dealloc__ needs the view
cdef class Reader:
    """What Scan and Cursor share: rows of one view at one moment."""
    cdef Store store
    cdef View view
    cdef Visible rows
    cdef bint opened
    cdef bint listed
    cdef lsm_flag busy
    cdef PyObject *before               # neighbours among the open readers of the store; borrowed
    cdef PyObject *behind

    def __cinit__(self, Store store not None):
        self.store = store

    def __dealloc__(self):
        self.let_go()

    cdef int open(self, View view, uint64_t sequence) except -1:
        if view is None:
            self.store._refuse()            # closed since the gate was looked at
        visible_init(&self.rows, sequence)
        if view.cursors(&self.rows.merge) != 0:
            merge_close(&self.rows.merge)
            raise MemoryError
        self.opened = True
        self.view = view
        return 0

    cdef int enlist(self) except -1:
        """Once it is made: from now on closing the store ends it."""
        cdef Store store = self.store
        lsm_guard_lock(&store.readers_guard)
        self.listed = True
        self.behind = store.readers
        self.before = NULL
        if self.behind != NULL:
            (<Reader>self.behind).before = <PyObject *>self
        store.readers = <PyObject *>self
        lsm_guard_unlock(&store.readers_guard)
        if store.gate & GATE_SHUT:
            self.let_go()                   # closed meanwhile
            store._refuse()
        return 0

    cdef bint leave_list(self) noexcept:
        """Is it for the caller to free what was held? Needs the guard of the list."""
        cdef bint opened = self.opened
        self.opened = False
        if not self.listed:
            return opened
        self.listed = False
        if self.before != NULL:
            (<Reader>self.before).behind = self.behind
        else:
            self.store.readers = self.behind
        if self.behind != NULL:
            (<Reader>self.behind).before = self.before
        return opened

    cdef int let_go(self) except -1:
        """Leave the store's list and free what is held."""
        cdef Store store = self.store
        cdef bint opened
        if store is None:
            return 0                        # it was never made
        lsm_guard_lock(&store.readers_guard)
        opened = self.leave_list()
        lsm_guard_unlock(&store.readers_guard)
        if opened:
            visible_close(&self.rows)
            self.view = None
        return 0

    cdef inline int enter(self) except -1:
        if self.store.gate & GATE_SHUT:
            if not lsm_take(&self.busy):
                self.let_go()
                self.busy = False
            self.store._refuse()
        if lsm_take(&self.busy):
            raise BusyError("another thread is using this object: give each thread its own")
        if not self.opened:
            self.busy = False
            raise ClosedError("this cursor is closed: make another one with db.cursor()")
        return 0

    cdef inline int leave(self, int status, Fault *fault) except -1:
        cdef object path = self.view.directory.path if status != 0 else None
        self.busy = False
        if status != 0:
            raise_fault(fault, path)
        return 0

    def close(self):
        """Let go of what is held. May be called again."""
        if lsm_take(&self.busy):
            raise BusyError("another thread is using this object: give each thread its own")
        self.let_go()
        self.busy = False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} belongs to its process and cannot be pickled")


@cython.final
@cython.no_gc_clear
cdef class Scan(Reader):
    """The rows of a range, as an iterator: see `DB.scan`. `close()`, or a `with` block, lets go of it early.

    >>> db.update({b"a": b"1", b"b": b"2"})
    >>> with db.scan() as rows:
    ...     next(rows)
    (b'a', b'1')
    """
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
        return self.enlist()

    def __iter__(self):
        return self

    @cython.critical_section
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
        if status != 0 or not self.rows.valid:
            self.leave(status, &fault)
            self.end()
            raise StopIteration
        try:
            if self.left > 0:
                self.left -= 1
            if not self.with_values:
                return bytes_of(self.rows.key)
            if not self.with_keys:
                return bytes_of(self.rows.value)
            return bytes_of(self.rows.key), bytes_of(self.rows.value)
        finally:
            self.busy = False

    cdef int end(self) except -1:
        """The rows are all out: let go of the view now rather than when the last reference goes."""
        self.ended = True
        self.close()
        return 0


cdef PyObject *take_over(Store store, Visible *rows) noexcept:
    """What some open reader that nobody uses just now holds: the caller's from now on, to be freed without any guard.
    NULL when there is none."""
    cdef PyObject *at
    cdef PyObject *view = NULL
    lsm_guard_lock(&store.readers_guard)
    at = store.readers
    while at != NULL and lsm_take(&(<Reader>at).busy):
        at = (<Reader>at).behind
    if at != NULL:
        (<Reader>at).leave_list()
        rows[0] = (<Reader>at).rows
        view = <PyObject *>(<Reader>at).view
        Py_XINCREF(view)
        (<Reader>at).view = None
        (<Reader>at).busy = False
    lsm_guard_unlock(&store.readers_guard)
    return view


cdef int _bound_set(Buffer *bound, Slice key, bint after) except -1:
    if buffer_set(bound, key) != 0 or buffer_reserve(bound, 1) != 0:
        raise MemoryError
    if after:
        bound.data[bound.size] = 0
        bound.size += 1
    return 0
