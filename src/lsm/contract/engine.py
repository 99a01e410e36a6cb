"""Engine: the contract that every storage engine of this package keeps, so that swapping one is changing one word.

An engine is a `collections.abc.MutableMapping` from bytes to bytes, in the order of the keys, with ranges, cursors,
snapshots and atomic batches. What is abstract here an engine must have; the rest is said once, in terms of it. An engine in
plain Python need not begin here: `lsm.contract.simple.SimpleEngine` asks for less.

What holds for all of them
- Keys and values are bytes, or have the buffer protocol; empty ones are legal. `traits` has the limits.
- A scan, a cursor, a snapshot shows the rows of the moment it was made, whatever is written meanwhile.
- A batch is seen whole or not at all, also after a crash where the engine is durable.
- `next` of a scan that was closed raises ClosedError; of one at its end, StopIteration, as often as it is asked.
- Calls that have nothing to do, `multi_get([])`, `write([])`, raise what they would if they had.
- After `close`, and in the child of a fork, everything raises ClosedError (ForkedError is one).
- What an engine does at a cost, or not at all, `traits` says; what it has not, raises NotOfferedError.

Threads: an engine may be shared freely; a scan, a cursor, a batch belongs to one thread at a time.
"""
from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, KeysView, MutableMapping, ValuesView
from typing import Any, ClassVar

from lsm.contract.reading import Reading
from lsm.contract.report import Progress, Report
from lsm.contract.traits import Traits
from lsm.errors import ClosedError


class Engine(Reading, MutableMapping[bytes, bytes]):
    """The contract. `lsm.open` answers one; `lsm.DB` is the log-structured merge-tree.

    >>> isinstance(db, lsm.Engine)
    True
    """

    __slots__ = ()
    __hash__ = object.__hash__          # a database is itself, whatever it holds

    traits: ClassVar[Traits]            # what it can, and at what cost
    path: str                           # its directory

    def __eq__(self, other: object) -> bool:
        """Are the rows the same? Compares them all, but for a database with itself."""
        return self is other or super().__eq__(other)

    @abstractmethod
    def put(self, key: Any, value: Any, *, sync: bool = False) -> None:
        """Set `key` to `value`. With `sync=True` it survives the loss of power once this returns."""

    @abstractmethod
    def delete(self, key: Any, *, sync: bool = False) -> None:
        """Remove `key`; that it was not there is no error."""

    def write(self, operations: Iterable[tuple[Any, Any]], *, sync: bool = False) -> int:
        """Write every (key, value) in one step, a value of None meaning: delete. All of them or none, also across a crash
        where the engine is durable; answers how many. Of two writes of one key the later one counts. Raises as `put`.
        Cost: that of a batch.

        >>> db.write([(b"kenya:capital", b"Nairobi"), (b"tanzania:capital", None)])
        2
        """
        with self.write_batch(sync=sync) as batch:
            for key, value in operations:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            return len(batch)

    @abstractmethod
    def write_batch(self, *, sync: bool = False) -> Any:
        """A batch to gather writes in: `put`, `delete`, `write`; as a `with` block it is written at its end."""

    @abstractmethod
    def write_many(self, pairs: Any, *, sync: bool = False) -> int:
        """Put every (key, value) of an iterable or mapping, in batches of about a megabyte; answers how many."""

    @abstractmethod
    def snapshot(self) -> Any:
        """The database as it is now, until it is closed: get, [], in, multi_get, scan, cursor, iteration, len."""

    @abstractmethod
    def flush(self) -> None:
        """Put what is in memory into files made for keeping."""

    @abstractmethod
    def compact(self) -> None:
        """Give back the room of what was overwritten and deleted."""

    @abstractmethod
    def sync(self) -> None:
        """Make every write so far survive the loss of power."""

    @abstractmethod
    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """A copy of the database as it is now, at `path` (new or empty), that can be opened at once."""

    @abstractmethod
    def stats(self) -> Any:
        """What the database holds and has done: a frozen dataclass that prints as a table."""

    @abstractmethod
    def verify(self, *, progress: Progress | None = None) -> Report:
        """Read and check everything. Damage is reported, not raised. `progress` is called with the bytes read so far, now and
        then."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. May be called again; any other use afterwards raises ClosedError."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Has it been closed?"""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        """Remove `key`; KeyError when it is not there."""
        if key not in self:
            raise KeyError(key)
        self.delete(key)

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

    def __enter__(self) -> Any:
        if self.closed:
            raise ClosedError()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a database belongs to its process and cannot be pickled: pickle its path and open it there")


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
