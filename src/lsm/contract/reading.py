"""Reading: what databases and snapshots share, said once in terms of `get` and `scan`.

Threads: any.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from lsm._chosen import core

_missing: Any = object()


class Reading(ABC):
    """A view of rows in the order of their keys."""

    __slots__ = ()

    @abstractmethod
    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key` as bytes, or `default`."""

    @abstractmethod
    def scan(
        self, start: Any = None, stop: Any = None, *, prefix: Any = None, include_start: bool = True,
        include_stop: bool = False, reverse: bool = False, limit: int | None = None, keys: bool = True,
        values: bool = True,
    ) -> Iterator[Any]:
        """Iterate over a range in the order of the keys, as of this moment, whatever is written meanwhile.

        `start` and `stop` bound it from below and above whatever the direction; `prefix` bounds it further. Rows are
        (key, value); with `values=False` keys alone, with `keys=False` values alone; at most `limit` of them. Raises
        CorruptionError rather than end early; ClosedError when the database is closed meanwhile.
        """

    @abstractmethod
    def cursor(self) -> Any:
        """A cursor over the rows of this moment, which moves both ways. It stands nowhere at first."""

    def __getitem__(self, key: Any) -> bytes:
        value = self.get(key, _missing)
        if value is _missing:
            raise KeyError(key)
        return value            # type: ignore[no-any-return]

    def __contains__(self, key: object) -> bool:
        return self.get(key, _missing) is not _missing

    def multi_get(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        """The values of many keys as a list, in their order; `default` where there is none."""
        return [self.get(key, default) for key in keys]

    def scan_chunks(
        self, start: Any = None, stop: Any = None, *, prefix: Any = None, include_start: bool = True,
        include_stop: bool = False, reverse: bool = False, limit: int | None = None, keys: bool = True,
        values: bool = True, chunk_bytes: int = 1048576,
    ) -> Iterator[Any]:
        """Iterate over a range many rows at a time, as columns; the iterator is an Arrow stream too.

        Here it is made of `scan`, row by row. An engine that gathers columns by itself overrides it.
        """
        rows = self.scan(start, stop, prefix=prefix, include_start=include_start, include_stop=include_stop,
                         reverse=reverse, limit=limit, keys=keys, values=values)
        return core.ChunkIterator(rows, keys=keys, values=values, chunk_bytes=chunk_bytes)      # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        return self.scan(values=False)

    def __reversed__(self) -> Iterator[bytes]:
        return self.scan(values=False, reverse=True)

    def __len__(self) -> int:
        """The number of keys. It counts them."""
        return sum(1 for _ in self.scan(values=False))

    def __bool__(self) -> bool:
        """Is there any key? Does not count."""
        for _ in self.scan(values=False, limit=1):
            return True
        return False
