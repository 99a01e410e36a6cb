"""Column and Chunk: many rows as two columns of bytes, made of what a scan gathered, without another copy.

Both are immutable and own their memory, together with every memoryview and Arrow array made of them: they outlive the
scan and the database. Threads: any.
"""
cdef class ColumnBytes:
    """The door of the buffer protocol to one of the two parts of a column."""
    cdef Column column
    cdef bint offsets
    cdef Py_ssize_t shape
    cdef Py_ssize_t stride

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("columns are read-only")
        self.stride = 4 if self.offsets else 1
        self.shape = <Py_ssize_t>self.column.rows.count + 1 if self.offsets else self.column.nbytes
        view.buf = <void *>self.column.rows.ends if self.offsets else <void *>self.column.rows.data
        view.obj = self
        view.len = self.shape * self.stride
        view.readonly = 1
        view.itemsize = self.stride
        view.format = NULL
        if flags & PyBUF_FORMAT:
            view.format = b"i" if self.offsets else b"B"
        view.ndim = 1
        view.shape = &self.shape if flags & PyBUF_ND else NULL
        view.strides = &self.stride if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL


@cython.final
cdef class Column:
    """Keys or values of a chunk: a sequence of bytes that lies in one piece of memory.

    Row i is `data[offsets[i]:offsets[i + 1]]`; both are memoryviews of what the column holds, not copies, for
    numpy.frombuffer and the like. The Arrow PyCapsule interface hands it on as an array of type binary.

    >>> db.update({b"a": b"one", b"b": b"", b"c": b"three"})
    >>> values = next(db.scan_chunks()).values
    >>> list(values), values[-1], bytes(values.data), list(values.offsets)
    ([b'one', b'', b'three'], b'three', b'onethree', [0, 3, 3, 8])
    """
    cdef c_column *rows

    def __cinit__(self):
        self.rows = column_empty()
        if self.rows == NULL:
            raise MemoryError

    def __dealloc__(self):
        column_release(self.rows)

    @property
    def data(self):
        """The bytes of all rows, one after the other, as a memoryview."""
        return memoryview(_column_bytes(self, False))

    @property
    def offsets(self):
        """Where each row begins in `data`, and where the last one ends, as a memoryview of 32-bit integers."""
        return memoryview(_column_bytes(self, True))

    @property
    def nbytes(self):
        """The number of bytes in `data`."""
        return self.rows.ends[self.rows.count]

    def tolist(self):
        """The rows as a list of bytes."""
        return self.rows_at(range(<Py_ssize_t>self.rows.count))

    cdef list rows_at(self, places):
        cdef list found = []
        cdef size_t at
        for at in places:
            found.append(self.row(at))
        return found

    cdef inline bytes row(self, size_t i):
        return PyBytes_FromStringAndSize(<const char *>self.rows.data + self.rows.ends[i],
                                         self.rows.ends[i + 1] - self.rows.ends[i])

    def __len__(self):
        return <Py_ssize_t>self.rows.count

    def __getitem__(self, index):
        cdef Py_ssize_t at
        if isinstance(index, slice):
            return self.rows_at(range(*index.indices(len(self))))
        at = _operator.index(index)
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.row(at)

    def __iter__(self):
        return iter(self.tolist())

    def __repr__(self):
        return f"<lsm.Column of {len(self):,} rows, {self.nbytes:,} bytes>"

    def __reduce__(self):
        raise TypeError("a Column cannot be pickled: pickle column.tolist()")

    def __arrow_c_schema__(self):
        """Its type in a capsule of the Arrow C data interface: binary, never null."""
        cdef object capsule = _schema_capsule()
        arrow_column_schema(_schema_in(capsule), b"")
        return capsule

    def __arrow_c_array__(self, requested_schema=None):
        """It as an array, in capsules of the Arrow C data interface. No copy; any other type asked for is not given."""
        cdef object capsule = _array_capsule()
        if arrow_column(_array_in(capsule), self.rows) != 0:
            raise MemoryError
        return self.__arrow_c_schema__(), capsule


cdef ColumnBytes _column_bytes(Column column, bint offsets):
    cdef ColumnBytes self = ColumnBytes.__new__(ColumnBytes)
    self.column = column
    self.offsets = offsets
    return self


cdef Column _column_of(Buffer *data, int32_t **ends, size_t count):
    """A Column of what was gathered, which is empty afterwards."""
    cdef Column self = Column.__new__(Column)
    cdef c_column *rows = column_take(data, ends, count)
    if rows == NULL:
        raise MemoryError
    column_release(self.rows)
    self.rows = rows
    return self


@cython.final
cdef class Chunk:
    """Rows of a range, in order, as columns: `keys` and `values` (None where they were not asked for).

    `len` counts its rows. It is a struct array of fields "key" and "value" for whoever knows the Arrow PyCapsule
    interface: `pyarrow.record_batch(chunk)`, `polars.DataFrame(chunk)`.

    >>> db.update({b"a": b"1", b"b": b"2"})
    >>> for chunk in db.scan_chunks():
    ...     len(chunk), list(chunk.keys), list(chunk.values)
    (2, [b'a', b'b'], [b'1', b'2'])
    """
    cdef readonly Column keys
    cdef readonly Column values

    def __init__(self, keys=None, values=None):
        """Of lists of bytes, for engines that scan row by row; either may be None, not both."""
        self.keys = None if keys is None else _column_of_list(keys)
        self.values = None if values is None else _column_of_list(values)
        if keys is None and values is None or None not in (keys, values) and len(self.keys) != len(self.values):
            raise ValueError("a chunk is made of keys and as many values, or of one of these")

    def __len__(self):
        return len(self.values if self.keys is None else self.keys)

    @property
    def nbytes(self):
        """The number of bytes of its keys and values."""
        return (0 if self.keys is None else self.keys.nbytes) + (0 if self.values is None else self.values.nbytes)

    def __iter__(self):
        """Its rows as a scan gives them: pairs, or keys, or values."""
        if self.values is None:
            return iter(self.keys)
        if self.keys is None:
            return iter(self.values)
        return zip(self.keys, self.values)

    def __repr__(self):
        return f"<lsm.Chunk of {len(self):,} rows, {self.nbytes:,} bytes>"

    def __reduce__(self):
        raise TypeError("a Chunk cannot be pickled: pickle list(chunk)")

    def __arrow_c_schema__(self):
        """Its type in a capsule of the Arrow C data interface: a struct."""
        return _chunk_schema(self.keys is not None, self.values is not None)

    def __arrow_c_array__(self, requested_schema=None):
        """It as a struct array, in capsules of the Arrow C data interface. No copy; no other type is given."""
        cdef object capsule = _array_capsule()
        self.export(_array_in(capsule))
        return self.__arrow_c_schema__(), capsule

    cdef int export(self, ArrowArray *out) except -1:
        if arrow_chunk(out, NULL if self.keys is None else self.keys.rows,
                       NULL if self.values is None else self.values.rows) != 0:
            raise MemoryError
        return 0


cdef Column _column_of_list(given):
    cdef Buffer data
    cdef tuple rows = tuple(given)              # holds still, and is as long as it says
    cdef int32_t *ends = <int32_t *>calloc(len(rows) + 1, sizeof(int32_t))
    cdef size_t count = 0
    cdef bytes row
    buffer_init(&data)
    try:
        if ends == NULL or buffer_reserve(&data, 1) != 0:
            raise MemoryError
        for row in rows:
            if data.size + <size_t>len(row) > 0x7FFFFFFF:
                raise ValueError("a column is at most 2 GiB: make smaller chunks")
            if buffer_append(&data, <const char *>row, len(row)) != 0:
                raise MemoryError
            count += 1
            ends[count] = <int32_t>data.size
        return _column_of(&data, &ends, count)
    finally:
        buffer_free(&data)
        free(ends)
