"""Reader, Range and Scan: rows of a range, at one moment.

A Reader (a Range, and Cursor in cursor.pxi) refers to its store and learns from its gate that it was closed. It holds the
view it began with, so that nothing it stands on can go away under it, whatever is flushed, compacted or closed
meanwhile; the store keeps a list of the open ones, to end them when it is closed.

A Range (Scan, and ChunkScan in chunks.pxi) gathers many rows at a time (core/gather.pxd): a Scan a few ahead of those it has
given out, as the same costs much more one by one. What goes wrong behind rows already gathered is raised after these.

Threads: one thread at a time; a second one that comes while the first waits for the disk gets BusyError. `busy` is the
right to use `rows` and `view`; `opened` and the places in the list change with the list's guard held too, so that whoever
closes the store can take them over from a reader that nobody uses, without a reference to it.
"""
import operator as _operator


cdef extern from *:
    """
    /* A tuple of two, whose references are taken over; NULL for one of them is an error. When nobody but `kept` has the one
       given out before, as in `for key, value in ...`, it is used again, as zip and the items of a dict do. A build
       without the GIL cannot know who else has it. */
    static CYTHON_INLINE PyObject *lsm_make_pair(PyObject **kept, PyObject *key, PyObject *value) {
        PyObject *pair = *kept;
        if (key == NULL || value == NULL) goto failed;
    #ifndef Py_GIL_DISABLED
        if (pair != NULL && Py_REFCNT(pair) == 1) {
            PyObject *old_key = PyTuple_GET_ITEM(pair, 0), *old_value = PyTuple_GET_ITEM(pair, 1);
            Py_INCREF(pair);
            PyTuple_SET_ITEM(pair, 0, key);
            PyTuple_SET_ITEM(pair, 1, value);
            Py_DECREF(old_key);
            Py_DECREF(old_value);
    #if PY_VERSION_HEX >= 0x030E0000
            ((PyTupleObject *)pair)->ob_hash = -1;
    #endif
            return pair;
        }
    #endif
        pair = PyTuple_New(2);
        if (pair == NULL) goto failed;
        PyTuple_SET_ITEM(pair, 0, key);
        PyTuple_SET_ITEM(pair, 1, value);
    #ifndef Py_GIL_DISABLED
        if (*kept == NULL) {
            Py_INCREF(pair);
            *kept = pair;
        }
    #endif
        return pair;
    failed:
        Py_XDECREF(key);
        Py_XDECREF(value);
        return NULL;
    }

    /* for loops and lists ask by the slot; `__next__` stays for who calls it by name */
    static void lsm_set_next(PyObject *type, iternextfunc next) { ((PyTypeObject *)type)->tp_iternext = next; }
    """
    void lsm_set_next(object type, PyObject *(*next)(PyObject *given) except? NULL)
    PyObject *make_pair "lsm_make_pair"(PyObject **kept, PyObject *key, PyObject *value) except NULL

cdef extern from "Python.h":
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size) except NULL
    PyObject *_new_bytes_or_null "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size)


cdef enum:
    READER_STEPS = 32768                # entries looked at between two looks at signals: some tenths of a millisecond


@cython.no_gc_clear         # __dealloc__ needs the view
cdef class Reader:
    """What Range and Cursor share: rows of one view at one moment."""
    cdef Store store
    cdef View view
    cdef Walk *walk                     # NULL: not opened, or closed
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
        self.walk = view.walk(&self.store.readers_guard)
        if self.walk == NULL:
            raise MemoryError
        self.walk.rows.sequence = sequence
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

    cdef Walk *leave_list(self) noexcept:
        """Its walk, which is the caller's from now on, or NULL. Needs the guard of the list."""
        cdef Walk *walk = self.walk
        self.walk = NULL
        if not self.listed:
            return walk
        self.listed = False
        if self.before != NULL:
            (<Reader>self.before).behind = self.behind
        else:
            self.store.readers = self.behind
        if self.behind != NULL:
            (<Reader>self.behind).before = self.before
        return walk

    cdef int let_go(self) except -1:
        """Leave the store's list and give back what is held."""
        cdef Store store = self.store
        cdef Walk *walk
        if store is None:
            return 0                        # it was never made
        lsm_guard_lock(&store.readers_guard)
        walk = self.leave_list()
        lsm_guard_unlock(&store.readers_guard)
        if walk != NULL:
            self.view.leave(walk, &store.readers_guard)
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
        if self.walk == NULL:
            self.busy = False
            raise ClosedError("this scan or cursor is closed: begin another one")
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


cdef enum:
    SCAN_ROWS_FIRST = 16                # a Scan gathers so many rows at first,
    SCAN_ROWS_MOST = 512                # twice as many each time, up to this
    SCAN_ROW_BYTES = 256                # times as many bytes,
    SCAN_BYTES_MOST = 65536             # up to this


@cython.no_gc_clear
cdef class Range(Reader):
    """What Scan and ChunkScan share: the bounds, and rows gathered ahead."""
    cdef Rows batch
    cdef Fault fault                    # what broke behind the rows of the batch
    cdef bint begun
    cdef bint paused                    # a signal handler raised in the middle of a batch: go on with it
    cdef bint broken                    # `fault` is set
    cdef bint last                      # nothing behind the batch
    cdef bint with_keys
    cdef bint with_values
    cdef int64_t left                   # rows not yet gathered, -1 for no limit

    def __dealloc__(self):
        if self.store is not None:
            self.store.keep_rows(&self.batch)

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
        cdef Visible *rows = &self.walk.rows
        if rows.has_lower and _bound_compare(key, after, &rows.lower) <= 0:
            return 0
        _bound_set(&rows.lower, key, after)
        rows.has_lower = True
        return 0

    cdef int upper_to(self, Slice key, bint after) except -1:
        cdef Visible *rows = &self.walk.rows
        if rows.has_upper and _bound_compare(key, after, &rows.upper) >= 0:
            return 0
        _bound_set(&rows.upper, key, after)
        rows.has_upper = True
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
        cdef int over = 0
        self.with_keys = keys
        self.with_values = values
        rows_init(&self.batch, self.walk.rows.sequence, reverse, keys, values)
        self.store.spare_rows(&self.batch)
        self.left = -1
        if limit is not None:
            if type(limit) is not int:
                limit = _operator.index(limit)          # TypeError for what is no whole number
            self.left = PyLong_AsLongLongAndOverflow(limit, &over)
            if over > 0:
                self.left = <int64_t>0x7FFFFFFFFFFFFFFF
            elif self.left < 0:
                raise ValueError(f"limit counts rows and cannot be {limit}")
        return self.enlist()

    cdef int gather_some(self, bint keep_gil) noexcept:
        """Some steps: what `gather` answers. Without the GIL the cursors have nothing to let go of around a read."""
        cdef int status = 0
        if keep_gil:
            if not self.begun:
                status = gather_begin(&self.walk.rows, self.batch.backward, &self.fault)
            if status == 0:
                status = gather(&self.walk.rows, &self.batch, &self.fault)
        else:
            self.walk.waiting.begin = NULL
            with nogil:
                if not self.begun:
                    status = gather_begin(&self.walk.rows, self.batch.backward, &self.fault)
                if status == 0:
                    status = gather(&self.walk.rows, &self.batch, &self.fault)
            self.walk.waiting.begin = _begin_waiting
        self.begun = True
        return status

    cdef int pull(self, size_t most, size_t most_bytes, bint keep_gil) except -1:
        """Gather the next rows into `batch`; none, when there are no more. From READER_STEPS entries without enough rows
        on, the GIL is let go of, and signals and closing are looked for."""
        cdef int status
        self.enter()
        try:
            if self.broken:
                raise_fault(&self.fault, self.view.directory.path)
            if not self.paused:
                if self.left >= 0 and <uint64_t>self.left < most:
                    most = <size_t>self.left
                if rows_begin(&self.batch, most, most_bytes) != 0:
                    raise MemoryError
                if self.last or most == 0:
                    return 0
            while True:
                self.batch.steps = READER_STEPS
                self.paused = False
                status = self.gather_some(keep_gil)
                if status != GATHERED_PAUSED:
                    break
                self.paused = True
                keep_gil = False
                PyErr_CheckSignals()
                if self.store.gate & GATE_SHUT:
                    self.store._refuse()
            self.last = status == GATHERED_ALL
            self.broken = status < 0
            if self.broken and self.batch.count == 0:
                raise_fault(&self.fault, self.view.directory.path)
            if self.left > 0:
                self.left -= <int64_t>self.batch.count
        finally:
            self.busy = False
        return 0

    cdef int end(self) except -1:
        """The rows are all out: let go of the view now rather than when the last reference goes."""
        self.last = True
        self.batch.count = 0
        self.let_go()
        return 0


@cython.final
@cython.no_gc_clear
cdef class Scan(Range):
    """The rows of a range, as an iterator: see `DB.scan`. `close()`, or a `with` block, lets go of it early.

    >>> db.update({b"a": b"1", b"b": b"2"})
    >>> with db.scan() as rows:
    ...     next(rows)
    (b'a', b'1')
    """
    cdef size_t at                          # in the batch, of the next row
    cdef size_t ahead                       # how many rows to gather the next time
    cdef bint ended
    cdef PyObject *pair                     # the first row given out

    def __dealloc__(self):
        Py_XDECREF(self.pair)

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *row = scan_next(<PyObject *>self)
        if row == NULL:
            raise StopIteration
        given = <object>row
        Py_DECREF(given)
        return given

    cdef inline PyObject *row(self) except? NULL:
        """The next one, a reference of the caller's; NULL and no exception when there are no more."""
        cdef Rows *batch = &self.batch
        cdef size_t at = self.at
        cdef Slice key
        cdef Slice value
        if at == batch.count or self.walk == NULL or self.busy or self.store.gate & GATE_SHUT:
            at = self.more()
            if self.ended:
                return NULL
        self.at = at + 1
        if not self.with_values:
            key = rows_key_at(batch, at)
            return new_bytes(<const char *>key.data, <Py_ssize_t>key.size)
        value = rows_value_at(batch, at)
        if not self.with_keys:
            return new_bytes(<const char *>value.data, <Py_ssize_t>value.size)
        key = rows_key_at(batch, at)
        return make_pair(&self.pair, _new_bytes_or_null(<const char *>key.data, <Py_ssize_t>key.size),
                         _new_bytes_or_null(<const char *>value.data, <Py_ssize_t>value.size))

    cdef size_t more(self) except? 0:
        """Where the next row is in the batch: gathers more if need be, and sets `ended` when there are none."""
        if self.store.gate & GATE_SHUT:
            self.store._refuse()
        if self.ended:
            return 0
        self.enter()
        self.busy = False
        while self.at == self.batch.count:
            if not self.paused and (self.left == 0 or self.last):
                self.ended = True
                self.end()
                return 0
            if not self.paused:                 # else there may be rows in it already, that were given out
                self.ahead = min(2 * self.ahead, SCAN_ROWS_MOST) if self.ahead else SCAN_ROWS_FIRST
                self.at = self.batch.count = 0
            self.pull(self.ahead, min(self.ahead * SCAN_ROW_BYTES, SCAN_BYTES_MOST), True)
            if self.batch.count == 0:
                self.ended = True
                self.end()
                return 0
        return self.at


cdef PyObject *scan_next(PyObject *given) except? NULL:
    """The next row of a Scan, a reference of the caller's. At the end NULL, and no exception: that is what the slot of
    iterators may answer, and it costs a tenth of a StopIteration."""
    cdef PyObject *row
    with cython.critical_section(<object>given):
        row = (<Scan>given).row()
    return row


lsm_set_next(Scan, scan_next)


cdef PyObject *take_over(Store store, Walk **walk) noexcept:
    """What some open reader that nobody uses just now holds: the caller's from now on, to be freed without any guard.
    NULL when there is none."""
    cdef PyObject *at
    cdef PyObject *view = NULL
    lsm_guard_lock(&store.readers_guard)
    at = store.readers
    while at != NULL and lsm_take(&(<Reader>at).busy):
        at = (<Reader>at).behind
    if at != NULL:
        walk[0] = (<Reader>at).leave_list()
        view = <PyObject *>(<Reader>at).view
        Py_XINCREF(view)
        (<Reader>at).view = None
        (<Reader>at).busy = False
    lsm_guard_unlock(&store.readers_guard)
    return view


cdef inline int _bound_compare(Slice key, bint after, const Buffer *bound) noexcept:
    """How a bound to be set compares with one that was."""
    cdef int order = compare_slices(key, buffer_slice(bound))
    if not after or order > 0:
        return order
    if order == 0:
        return 1
    # below it, and so is the key and a zero byte, unless that is the bound
    return 0 if (bound.size == key.size + 1 and bound.data[key.size] == 0
                 and compare_slices(key, slice_of(bound.data, key.size)) == 0) else -1


cdef int _bound_set(Buffer *bound, Slice key, bint after) except -1:
    if buffer_set(bound, key) != 0 or buffer_reserve(bound, 1) != 0:
        raise MemoryError
    if after:
        bound.data[bound.size] = 0
        bound.size += 1
    return 0
