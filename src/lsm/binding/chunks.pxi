"""ChunkScan: the rows of a range many at a time, as columns (a Range: scan.pxi).

Each chunk is gathered in one go without the GIL. ChunkIterator gives an engine that scans row by row the same face.

Threads: as Scan.
"""
CHUNK_BYTES_MAX = <long>ROWS_BYTES_MAX


def _chunk_bytes(given):
    """`chunk_bytes` as it was given, checked."""
    size = _operator.index(given)
    if not 1 <= size <= CHUNK_BYTES_MAX:
        raise ValueError(f"chunk_bytes is 1 to {CHUNK_BYTES_MAX:,}, not {size:,}")
    return size


@cython.final
@cython.no_gc_clear
cdef class ChunkScan(Range):
    """The rows of a range as an iterator of Chunk: see `DB.scan_chunks`. `close()`, or a `with` block, lets go of it
    early. It is a stream for whoever knows the Arrow PyCapsule interface: `pyarrow.table(db.scan_chunks())`.

    >>> db.update({b"a": b"1", b"b": b"2"})
    >>> with db.scan_chunks(reverse=True, values=False) as chunks:
    ...     list(next(chunks).keys)
    [b'b', b'a']
    """
    cdef size_t chunk_bytes
    cdef size_t key_bytes               # room the columns of the last chunk took: the next one will be much like it
    cdef size_t value_bytes
    cdef size_t row_count

    def __iter__(self):
        return self

    @cython.critical_section
    def __next__(self):
        self.store.check_open()
        if self.walk == NULL and self.last:
            raise StopIteration
        if not self.paused and not self.busy:
            self.make_room()
        self.pull(<size_t>-1, self.chunk_bytes, False)
        if self.batch.count == 0:
            self.end()
            raise StopIteration
        self.key_bytes = self.batch.keys.size
        self.value_bytes = self.batch.values.size
        self.row_count = self.batch.count
        return self.take()

    cdef int make_room(self) except -1:
        if buffer_reserve(&self.batch.keys, self.key_bytes + self.key_bytes // 16) != 0:
            raise MemoryError
        if buffer_reserve(&self.batch.values, self.value_bytes + self.value_bytes // 16) != 0:
            raise MemoryError
        if rows_widen(&self.batch, self.row_count + self.row_count // 16) != 0:
            raise MemoryError
        return 0

    cdef Chunk take(self):
        """The batch as a Chunk; a new batch begins without memory."""
        cdef Chunk chunk = Chunk.__new__(Chunk)
        cdef Rows *batch = &self.batch
        try:
            if rows_part(batch) != 0:
                raise MemoryError
            if self.with_keys:
                chunk.keys = _column_of(&batch.keys, &batch.key_ends, batch.count)
            if self.with_values:
                chunk.values = _column_of(&batch.values, &batch.value_ends, batch.count)
        except BaseException:
            self.end()                              # these rows are lost: there must be none behind them
            raise
        finally:
            batch.count = batch.room = 0
        return chunk

    def __arrow_c_stream__(self, requested_schema=None):
        """Its chunks as a stream of struct arrays, in a capsule of the Arrow C stream interface. What goes wrong on the way
        reaches the reader as the text of the exception."""
        return _stream_of(self, self.with_keys, self.with_values)


cdef class ChunkIterator:
    """An iterator of Chunk made of an iterator of rows."""
    cdef object rows
    cdef bint with_keys
    cdef bint with_values
    cdef size_t chunk_bytes

    def __init__(self, rows, *, bint keys=True, bint values=True, chunk_bytes=1048576):
        self.rows = iter(rows)
        self.with_keys = keys
        self.with_values = values
        self.chunk_bytes = _chunk_bytes(chunk_bytes)

    def __iter__(self):
        return self

    def __next__(self):
        keys = [] if self.with_keys else None
        values = [] if self.with_values else None
        cdef size_t size = 0
        for row in self.rows:
            key, value = row if self.with_keys and self.with_values else (row, row)
            if self.with_keys:
                keys.append(key)
                size += len(key)
            if self.with_values:
                values.append(value)
                size += len(value)
            if size >= self.chunk_bytes:
                break
        if not (keys or values):
            raise StopIteration
        return Chunk(keys, values)

    def close(self):
        """Let go of the rows that are left."""
        if hasattr(self.rows, "close"):
            self.rows.close()
        else:
            self.rows = iter(())

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __arrow_c_stream__(self, requested_schema=None):
        """As that of `DB.scan_chunks`."""
        return _stream_of(self, self.with_keys, self.with_values)
