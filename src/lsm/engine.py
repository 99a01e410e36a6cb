"""Engine: the contract that every storage engine of this package keeps, so that swapping one is changing one word.

An engine is a `collections.abc.MutableMapping` from bytes to bytes, in the order of the keys, with ranges, cursors,
snapshots and atomic batches. What is abstract here an engine must have; the rest is said once, in terms of it.

Threads: an engine may be shared freely; a scan or a cursor belongs to one thread at a time.
"""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from typing import Any

from lsm._core import Chunk, ChunkIterator
from lsm.errors import ClosedError

class Engine(MutableMapping[bytes, bytes]):
    """The contract. `lsm.open` answers one; `lsm.DB` is the log-structured merge-tree.

    >>> isinstance(db, lsm.Engine)
    True
    """

    __slots__ = ()
    __hash__ = object.__hash__          # a database is itself, whatever it holds

    def __eq__(self, other: object) -> bool:
        """Are the rows the same? Compares them all, but for a database with itself."""
        return self is other or super().__eq__(other)

    @abstractmethod
    def scan(
        self, start: Any = None, stop: Any = None, *, prefix: Any = None, include_start: bool = True,
        include_stop: bool = False, reverse: bool = False, limit: int | None = None, keys: bool = True,
        values: bool = True,
    ) -> Iterator[Any]:
        """Iterate over a range in the order of the keys."""

    def scan_chunks(
        self, start: Any = None, stop: Any = None, *, prefix: Any = None, include_start: bool = True,
        include_stop: bool = False, reverse: bool = False, limit: int | None = None, keys: bool = True,
        values: bool = True, chunk_bytes: int = 1048576,
    ) -> Iterator[Chunk]:
        """Iterate over a range many rows at a time, as columns; the iterator is an Arrow stream too.

        Here it is made of `scan`, row by row. An engine that gathers columns by itself overrides it.
        """
        rows = self.scan(start, stop, prefix=prefix, include_start=include_start, include_stop=include_stop,
                         reverse=reverse, limit=limit, keys=keys, values=values)
        return ChunkIterator(rows, keys=keys, values=values, chunk_bytes=chunk_bytes)

    @abstractmethod
    def flush(self) -> None:
        """Put what is in memory into files made for keeping."""

    @abstractmethod
    def sync(self) -> None:
        """Make every write so far survive the loss of power."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. May be called again; any other use afterwards raises ClosedError."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Has it been closed?"""

    def keys(self) -> KeysView[bytes]:
        """The keys, as a view: iterating scans, `in` looks one up."""
        return _Keys(self)

    def items(self) -> ItemsView[bytes, bytes]:
        """The rows, as a view: iterating scans once."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """The values in the order of their keys, as a view."""
        return _Values(self)

    def clear(self) -> None:
        """Delete every key, one by one: not atomic, and as slow as a scan and as many deletes."""
        for key in self.scan(values=False):
            self.delete(key)

    def popitem(self) -> tuple[bytes, bytes]:
        """Remove and answer the row with the smallest key; KeyError when there is none."""
        for key, value in self.scan(limit=1):
            self.delete(key)
            return key, value
        raise KeyError("popitem: the database is empty")

    @abstractmethod
    def delete(self, key: Any, *, sync: bool = False) -> None:
        """Remove a key; that it was not there is no error."""

    def __enter__(self) -> Any:
        if self.closed:
            raise ClosedError()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Keys(KeysView[bytes]):
    def __iter__(self) -> Iterator[bytes]:
        return self._mapping.scan(values=False)             # type: ignore[attr-defined, no-any-return]

    def __reversed__(self) -> Iterator[bytes]:
        return self._mapping.scan(values=False, reverse=True)   # type: ignore[attr-defined, no-any-return]


class _Items(ItemsView[bytes, bytes]):
    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping.scan()                         # type: ignore[attr-defined, no-any-return]

    def __reversed__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping.scan(reverse=True)             # type: ignore[attr-defined, no-any-return]


class _Values(ValuesView[bytes]):
    def __iter__(self) -> Iterator[bytes]:
        return self._mapping.scan(keys=False)               # type: ignore[attr-defined, no-any-return]

    def __reversed__(self) -> Iterator[bytes]:
        return self._mapping.scan(keys=False, reverse=True)  # type: ignore[attr-defined, no-any-return]
