"""Cursor: a place in the order of the keys that can be moved both ways (a Reader: scan.pxi)."""
@cython.final
@cython.no_gc_clear
cdef class Cursor(Reader):
    """A place in the order of the keys that can be moved both ways. Made by `DB.cursor` and `Snapshot.cursor`.

    It sees the database as it was when it was made. Every move answers whether it stands on a row. Off either end it
    stands nowhere, and `next` and `prev` keep it there: `seek`, `first` and `last` bring it back. Moves raise
    CorruptionError, StorageError, ClosedError (it, or its database), BusyError (two threads at once). Cost: `seek` about
    a get; a step a fraction of one, a change of direction more. Until it is closed or dropped it keeps the memtables
    and files it began with. Passing over very many deleted rows it lets go of the GIL and looks for signals; when a handler
    raises there it stands nowhere.

    >>> db.update({b"kenya:capital": b"Nairobi", b"rwanda:capital": b"Kigali"})
    >>> with db.cursor() as cursor:
    ...     cursor.seek(b"r"), cursor.key, cursor.value
    ...     cursor.prev(), cursor.key
    ...     cursor.prev(), cursor.valid, cursor.key
    (True, b'rwanda:capital', b'Kigali')
    (True, b'kenya:capital')
    (False, False, None)
    """

    cdef bint moved(self, int status, Fault *fault) except -1:
        """A move has been made: finish it if it was put off, raise what went wrong, answer whether it stands on a row."""
        cdef object path = self.view.directory.path
        cdef bint valid
        try:
            while status > 0:
                self.walk.waiting.begin = NULL
                with nogil:
                    self.walk.rows.steps = READER_STEPS
                    status = visible_resume(&self.walk.rows, fault)
                self.walk.waiting.begin = _begin_waiting
                PyErr_CheckSignals()
                if self.store.gate & GATE_SHUT:
                    self.store._refuse()
        except BaseException:
            self.walk.rows.valid = False
            raise
        finally:
            valid = self.walk.rows.valid
            self.busy = False
        if status != 0:
            raise_fault(fault, path)
        return valid

    def seek(self, key):
        """To the first row whose key is not below `key`; any length of key."""
        cdef Fault fault
        cdef Borrowed k
        cdef int status
        self.enter()
        try:
            borrow(key, &k, "keys")
        except BaseException:
            self.busy = False
            raise
        self.walk.rows.steps = READER_STEPS
        status = visible_seek(&self.walk.rows, k.slice, &fault)
        give_back(&k)
        return self.moved(status, &fault)

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
        self.walk.rows.steps = READER_STEPS
        status = visible_seek_before(&self.walk.rows, k.slice, &fault)
        give_back(&k)
        return self.moved(status, &fault)

    def first(self):
        """To the first row of all."""
        cdef Fault fault
        self.enter()
        self.walk.rows.steps = READER_STEPS
        return self.moved(visible_first(&self.walk.rows, &fault), &fault)

    def last(self):
        """To the last row of all."""
        cdef Fault fault
        self.enter()
        self.walk.rows.steps = READER_STEPS
        return self.moved(visible_last(&self.walk.rows, &fault), &fault)

    def next(self):
        """To the next row. Off the end, and from there, it stays where there is no row."""
        cdef Fault fault
        self.enter()
        self.walk.rows.steps = READER_STEPS
        return self.moved(visible_next(&self.walk.rows, &fault) if self.walk.rows.valid else 0, &fault)

    def prev(self):
        """To the row before. Off the end, and from there, as `next`."""
        cdef Fault fault
        self.enter()
        self.walk.rows.steps = READER_STEPS
        return self.moved(visible_prev(&self.walk.rows, &fault) if self.walk.rows.valid else 0, &fault)

    @property
    def valid(self):
        """Does it stand on a row?"""
        cdef bint valid
        self.enter()
        valid = self.walk.rows.valid
        self.busy = False
        return valid

    @property
    def key(self):
        """The key it stands on, None where there is no row."""
        self.enter()
        try:
            return bytes_of(self.walk.rows.key) if self.walk.rows.valid else None
        finally:
            self.busy = False

    @property
    def value(self):
        """The value it stands on, None where there is no row."""
        self.enter()
        try:
            return bytes_of(self.walk.rows.value) if self.walk.rows.valid else None
        finally:
            self.busy = False

    cdef int open(self, View view, uint64_t sequence) except -1:
        Reader.open(self, view, sequence)
        return self.enlist()
