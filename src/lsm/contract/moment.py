"""Moment: the data of an engine as they were at one moment; Snapshot: one that a user holds.

A moment shows the same rows for as long as it is open, whatever is written. How it does that is the engine's business.

Threads: any.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from lsm.contract.arguments import as_bytes
from lsm.contract.reading import Reading
from lsm.contract.rows import Cursor, Frozen, Rows
from lsm.contract.span import Span
from lsm.errors import ClosedError


class Moment(ABC):
    """The rows of one moment."""

    @abstractmethod
    def find(self, key: bytes) -> bytes | None:
        """The value the key had, None when there was none."""

    @abstractmethod
    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        """The rows between the bounds of the span, in its direction. With `span.values` false, the values may be anything."""

    def close(self) -> None:                # noqa: B027 - what holds nothing has nothing to let go of
        """Let go of what is held. May be called again."""


class Shown(Frozen, Protocol):
    """What a snapshot stands on: a Moment, or one that a core has in C."""

    def find(self, key: bytes) -> bytes | None:
        """As Moment.find."""


class Shared:
    """A moment that several hold: it is closed when the last of them has closed its own Shared."""

    def __init__(self, moment: Shown, holders: list[int] | None = None) -> None:
        self._moment = moment
        self._holders = holders if holders is not None else []      # one entry each; append and pop are single steps
        self._holders.append(1)
        self._open = True
        self.find = moment.find
        self.rows = moment.rows

    def again(self) -> Shared:
        """For one more holder."""
        return Shared(self._moment, self._holders)

    def close(self) -> None:
        """May be called again."""
        if self._open:
            self._open = False
            self._holders.pop()
            if not self._holders:
                self._moment.close()


class Snapshot(Reading):
    """The database as it was at one moment: get, [], in, multi_get, scan, cursor, iteration, len. Made by `snapshot`.

    Close it, or use `with`; its scans and cursors go on.
    """

    def __init__(self, moment: Shown, check: Callable[[], object], closed: Callable[[], bool]) -> None:
        """`check` raises when the database was closed, `closed` tells."""
        self._moment = Shared(moment)
        self._check_database = check
        self._database_closed = closed
        self._open = True

    def _check(self) -> None:
        self._check_database()
        if not self._open:
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")

    def multi_get(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        """The values of many keys at the moment; `default` where there was none."""
        self._check()
        return super().multi_get(keys, default)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value `key` had at the moment, or `default`."""
        self._check()
        value = self._moment.find(as_bytes(key, "keys"))
        if value is None:
            self._check()                   # closed meanwhile? Then nobody knows
            return default
        return value

    def scan(self, start: Any = None, stop: Any = None, **how: Any) -> Rows:
        """As that of the database, at the moment of the snapshot."""
        self._check()
        return Rows(self._moment.again(), Span.of(start, stop, **how), self._check_database)

    def cursor(self) -> Cursor:
        """As that of the database, at the moment of the snapshot."""
        self._check()
        return Cursor(self._moment.again(), self._check_database)

    @property
    def closed(self) -> bool:
        """Has it, or its database, been closed?"""
        return not self._open or self._database_closed()

    def close(self) -> None:
        """Let the moment go. May be called again."""
        if self._open:
            self._open = False
            self._moment.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Snapshot belongs to its process and cannot be pickled")
