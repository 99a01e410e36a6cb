"""Cursor: a place in the order of the keys that can be moved both ways (a Reader: scan.pxi)."""
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
