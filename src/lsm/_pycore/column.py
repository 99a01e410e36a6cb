"""Column, Chunk and the iterators of chunks: many rows as two columns of bytes, as `scan_chunks` gives them.

The compiled core gathers columns without making a Python object a row. Here they are made of the rows of a scan, so that
what is written for the one runs on the other. Both are immutable. Threads: any; an
iterator of chunks has one user at a time.
"""
from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from lsm._pycore import arrow
from lsm.errors import ClosedError, CorruptionError

CHUNK_BYTES_MAX = 1 << 30
COLUMN_BYTES_MAX = (1 << 31) - 1


class Column:
    """Keys or values of a chunk: a sequence of bytes that lies in one piece of memory.

    Row i is `data[offsets[i]:offsets[i + 1]]`; both are memoryviews of what the column holds, for numpy.frombuffer and
    the like.
    """

    def __init__(self, rows: Iterable[bytes] = ()) -> None:
        given = tuple(rows)
        self._data = b"".join(given)
        if len(self._data) > COLUMN_BYTES_MAX:
            raise ValueError("a column is at most 2 GiB: make smaller chunks")
        self._offsets = array("i", (0, *accumulate(map(len, given))))

    @property
    def data(self) -> memoryview:
        """The bytes of all rows, one after the other, as a memoryview."""
        return memoryview(self._data)

    @property
    def offsets(self) -> memoryview:
        """Where each row begins in `data`, and where the last one ends, as a memoryview of 32-bit integers."""
        return memoryview(self._offsets).toreadonly()

    @property
    def nbytes(self) -> int:
        """The number of bytes in `data`."""
        return len(self._data)

    def _row(self, at: int) -> bytes:
        return self._data[self._offsets[at]:self._offsets[at + 1]]

    def tolist(self) -> list[bytes]:
        """The rows as a list of bytes."""
        return [self._row(at) for at in range(len(self))]

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._row(at) for at in range(*index.indices(len(self)))]
        at = operator.index(index)
        at += len(self) if at < 0 else 0
        if not 0 <= at < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self._row(at)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        return f"<lsm.Column of {len(self):,} rows, {self.nbytes:,} bytes>"

    def __reduce__(self) -> Any:
        raise TypeError("a Column cannot be pickled: pickle column.tolist()")

    def __arrow_c_schema__(self) -> object:
        """Its type, in a capsule: binary, never null."""
        return arrow.field("").__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """It as an array, in capsules. No copy; any other type asked for is not given."""
        return self.__arrow_c_schema__(), arrow.array_of(self).__arrow_c_array__()[1]


class Chunk:
    """Rows of a range, in order, as columns: `keys` and `values` (None where they were not asked for)."""

    def __init__(self, keys: Iterable[bytes] | None = None, values: Iterable[bytes] | None = None) -> None:
        self.keys = None if keys is None else Column(keys)
        self.values = None if values is None else Column(values)
        columns = self._columns()
        if not columns or len({len(column) for column in columns}) > 1:
            raise ValueError("a chunk is made of keys and as many values, or of one of these")

    def _columns(self) -> list[Column]:
        return [column for column in (self.keys, self.values) if column is not None]

    def __len__(self) -> int:
        return len(self._columns()[0])

    @property
    def nbytes(self) -> int:
        """The number of bytes of its keys and values."""
        return sum(column.nbytes for column in self._columns())

    def __iter__(self) -> Iterator[Any]:
        """Its rows as a scan gives them: pairs, or keys, or values."""
        columns = self._columns()
        return iter(columns[0]) if len(columns) == 1 else zip(*columns)

    def __repr__(self) -> str:
        return f"<lsm.Chunk of {len(self):,} rows, {self.nbytes:,} bytes>"

    def __reduce__(self) -> Any:
        raise TypeError("a Chunk cannot be pickled: pickle list(chunk)")

    def __arrow_c_schema__(self) -> object:
        """Its type, in a capsule: a struct."""
        named = arrow.fields(self.keys is not None, self.values is not None)
        return arrow.pyarrow().struct(named).__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """It as an array of structs, in capsules. No copy; no other type is given."""
        return arrow.struct_of(self).__arrow_c_array__()    # type: ignore[no-any-return]


class ChunkIterator:
    """An iterator of Chunk made of an iterator of rows."""

    def __init__(self, rows: Iterable[Any], *, keys: bool = True, values: bool = True,
                 chunk_bytes: int = 1 << 20) -> None:
        self._chunk_bytes = operator.index(chunk_bytes)
        if not 1 <= self._chunk_bytes <= CHUNK_BYTES_MAX:
            raise ValueError(f"chunk_bytes is 1 to {CHUNK_BYTES_MAX:,}, not {self._chunk_bytes:,}")
        self._rows: Iterator[Any] = iter(rows)
        self._with_keys, self._with_values = keys, values
        self._pairs = keys and values

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Chunk:
        rows: list[Any] = []
        size = 0
        for row in self._rows:
            rows.append(row)
            size += self._size(row)
            if size >= self._chunk_bytes:
                break
        return self._chunk(rows)

    def _size(self, row: Any) -> int:
        return sum(map(len, row)) if self._pairs else len(row)

    def _chunk(self, rows: list[Any]) -> Chunk:
        if not rows:
            raise StopIteration
        if self._pairs:
            return Chunk(*zip(*rows))
        return Chunk(keys=rows) if self._with_keys else Chunk(values=rows)

    def close(self) -> None:
        """Let go of the rows that are left."""
        if hasattr(self._rows, "close"):
            self._rows.close()
        else:
            self._rows = iter(())

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Its chunks as a stream of struct arrays, in a capsule. What goes wrong on the way reaches the reader."""
        return arrow.stream_of(self, self._with_keys, self._with_values)


class ChunkScan(ChunkIterator):
    """The rows of a range as an iterator of Chunk: see `DB.scan_chunks`. `close()`, or a `with` block, lets go of it early.

    A chunk ends before it would be larger than was asked for, so one row waits for the next chunk. What goes wrong behind
    rows already gathered is raised after these.
    """

    def __init__(self, rows: Iterable[Any], *, keys: bool = True, values: bool = True, chunk_bytes: int = 1 << 20) -> None:
        super().__init__(rows, keys=keys, values=values, chunk_bytes=chunk_bytes)
        self._waiting: list[Any] = []
        self._error: Exception | None = None
        self._lost = False                              # a row that waited when it was closed

    def __next__(self) -> Chunk:
        if self._error is not None:
            error, self._error = self._error, None      # the rows raise it again, for ever
            raise error
        if self._lost:
            raise ClosedError("this scan is closed: begin another one")
        rows, self._waiting = self._waiting, []
        size = sum(map(self._size, rows))
        try:
            while size < self._chunk_bytes:
                row = next(self._rows)
                size += self._size(row)
                if rows and size > self._chunk_bytes:
                    self._waiting = [row]
                    break
                rows.append(row)
        except StopIteration:
            pass
        except CorruptionError as error:
            if not rows:
                raise
            self._error = error
        except BaseException:
            self._waiting = rows
            raise
        return self._chunk(rows)

    def close(self) -> None:
        """Let go of the rows that are left."""
        self._lost = self._lost or bool(self._waiting)
        self._waiting = []
        super().close()
