"""Rows: the iterator that a scan answers, and Cursor: a place that moves both ways. Plain forms, over any frozen view.

Both hold a moment (moment.py has the idea; here it is whatever has `rows` and `close`) and let go of it at their end, when
they are closed, or with their database: `check` raises once that was closed.

Threads: one at a time; a second one that comes meanwhile gets BusyError.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from lsm.contract.arguments import as_bytes
from lsm.contract.span import Span
from lsm.errors import BusyError, ClosedError


class Frozen(Protocol):
    """What a row iterator stands on: the data of one moment."""

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        """The rows between the bounds, in its direction; limit and parts of rows are not its business."""

    def close(self) -> None:
        """Let go. May be called again."""


class Guarded:
    """One thread at a time, and not after closing."""

    def __init__(self, moment: Frozen, check: Callable[[], object]) -> None:
        self._moment = moment
        self._check = check
        self._closed = False
        self._using = threading.Lock()

    @contextmanager
    def _take(self) -> Iterator[None]:
        """For a `with` block around each use."""
        if not self._using.acquire(blocking=False):
            raise BusyError("another thread is using this object: give each thread its own")
        try:
            yield
        finally:
            self._using.release()

    def close(self) -> None:
        """Let go of what is held. May be called again."""
        with self._take():
            self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        self._moment.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._let_go()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} belongs to its process and cannot be pickled")


class Rows(Guarded):
    """The rows of a span, one by one."""

    def __init__(self, moment: Frozen, span: Span, check: Callable[[], object]) -> None:
        super().__init__(moment, check)
        self._rows = iter(()) if span.empty else span.shape(moment.rows(span))

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Any:
        with self._take():
            self._check()
            if not self._closed:
                for row in self._rows:
                    return row
                self._let_go()
            raise StopIteration

    def _let_go(self) -> None:
        self._rows = iter(())
        super()._let_go()


class Cursor(Guarded):
    """A place in the order of the keys that can be moved both ways, as `lsm.Cursor`. A step in the direction of the last
    one costs a row of a scan, a change of direction a seek."""

    def __init__(self, moment: Frozen, check: Callable[[], object]) -> None:
        super().__init__(moment, check)
        self._rows: Iterator[tuple[bytes, bytes]] = iter(())
        self._reverse = False
        self._row: tuple[bytes, bytes] | None = None

    def _move(self, span: Span | None) -> bool:
        """To the first row of the span; None: to the next one in the present direction."""
        with self._take():
            self._enter()
            if span is not None:
                self._rows, self._reverse = self._moment.rows(span), span.reverse
            self._row = None                # what goes wrong leaves it nowhere
            self._row = next(self._rows, None)
            return self._row is not None

    def _enter(self) -> None:
        self._check()
        if self._closed:
            raise ClosedError("this cursor is closed: make another one with db.cursor()")

    def seek(self, key: Any) -> bool:
        """To the first row whose key is not below `key`."""
        return self._move(Span(lower=as_bytes(key, "keys")))

    def seek_before(self, key: Any) -> bool:
        """To the last row whose key is below `key`."""
        return self._move(Span(upper=as_bytes(key, "keys"), reverse=True))

    def first(self) -> bool:
        """To the first row of all."""
        return self._move(Span())

    def last(self) -> bool:
        """To the last row of all."""
        return self._move(Span(reverse=True))

    def next(self) -> bool:
        """To the next row. Off the end, and from there, it stays where there is no row."""
        row = self._here()
        return row is not None and self._move(Span(lower=row[0] + b"\0") if self._reverse else None)

    def prev(self) -> bool:
        """To the row before. Off the end, and from there, as `next`."""
        row = self._here()
        return row is not None and self._move(None if self._reverse else Span(upper=row[0], reverse=True))

    def _here(self) -> tuple[bytes, bytes] | None:
        with self._take():
            self._enter()
            return self._row

    @property
    def valid(self) -> bool:
        """Does it stand on a row?"""
        return self._here() is not None

    @property
    def key(self) -> bytes | None:
        """The key it stands on, None where there is no row."""
        row = self._here()
        return row and row[0]

    @property
    def value(self) -> bytes | None:
        """The value it stands on, None where there is no row."""
        row = self._here()
        return row and row[1]

    def _let_go(self) -> None:
        self._rows, self._row = iter(()), None
        super()._let_go()
