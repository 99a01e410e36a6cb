"""Borrowing bytes from Python objects: exact `bytes` by pointer, anything else with the buffer protocol by a copy.

What is not `bytes` may be changed by another thread while it is being written, and log and memtable must never
differ: so it is copied once. A Borrowed keeps what it points into alive until `give_back`, which must be called once
for every `borrow`, whatever happens between.
"""
cdef struct Borrowed:
    Slice slice
    PyObject *copy                      # owned, or NULL


cdef object _refuse_type(object given, str what):
    if isinstance(given, str):
        return TypeError(f"{what} are bytes, not str: encode it, for example {given[:20]!r}.encode()")
    return TypeError(f"{what} are bytes or have the buffer protocol, not {type(given).__name__}")


cdef inline int borrow(object given, Borrowed *self, str what) except -1:
    self.copy = NULL
    if not PyBytes_CheckExact(given):
        if not PyObject_CheckBuffer(given):
            raise _refuse_type(given, what)
        given = PyBytes_FromObject(given)
        Py_INCREF(given)
        self.copy = <PyObject *>given
    self.slice.data = <const uint8_t *>PyBytes_AS_STRING(given)
    self.slice.size = PyBytes_GET_SIZE(given)
    return 0


cdef inline void give_back(Borrowed *self) noexcept:
    Py_XDECREF(self.copy)
    self.copy = NULL


cdef inline int borrow_key(object given, Borrowed *self) except -1:
    borrow(given, self, "keys")
    if self.slice.size > KEY_BYTES_MAX:
        give_back(self)
        raise ValueError(f"a key of {self.slice.size:,} bytes is over the limit of {KEY_BYTES_MAX:,} bytes")
    return 0


cdef inline int borrow_value(object given, Borrowed *self) except -1:
    borrow(given, self, "values")
    if self.slice.size > VALUE_BYTES_MAX:
        give_back(self)
        raise ValueError(f"a value of {self.slice.size:,} bytes is over the limit of {VALUE_BYTES_MAX:,} bytes")
    return 0


cdef inline bytes bytes_of(Slice slice):
    return PyBytes_FromStringAndSize(<const char *>slice.data, slice.size)
