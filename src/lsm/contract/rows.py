"""Rows: the iterator that a scan answers, and Cursor: a place that moves both ways. Plain forms, over any frozen view.

Both hold a moment (moment.py has the idea; here it is whatever has `rows` and `close`) and let go of it at their end, when
they are closed, or with their database: `check` raises once that was closed.

Threads: one at a time; a second one that comes meanwhile gets BusyError. A signal's handler may raise between any two steps
here: who was using it then is using it no more.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Protocol, TypeVar

from lsm.contract.arguments import as_bytes
from lsm.contract.span import Span
from lsm.contract.steadfast import Steadfast
from lsm.errors import BusyError, ClosedError


class Frozen(Protocol):
    """What a row iterator stands on: the data of one moment."""

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        """The rows between the bounds, in its direction; limit and parts of rows are not its business."""

    def close(self) -> None:
        """Let go. May be called again."""


_none: Any = object()
_Method = TypeVar("_Method", bound=Callable[..., Any])


def alone(method: _Method) -> _Method:
    """For the methods of a Guarded: one user at a time.

    No lock: a handler could raise between taking it and the block that gives it back. Each step here is one that a handler
    comes before or after.
    """
    @wraps(method)
    def guarded(self: Guarded, *given: Any) -> Any:
        me, users = object(), self._users
        try:
            users.append(me)
            if users[0] is not me:
                raise BusyError("another thread is using this object: give each thread its own")
            return method(self, *given)
        finally:
            if me in users:
                users.remove(me)
    return guarded              # type: ignore[return-value]


class Guarded:
    """One thread at a time, and not after closing."""

    def __init__(self, moment: Frozen, check: Callable[[], object]) -> None:
        self._moment = moment
        self._check = check
        self._closed = False
        self._users: list[object] = []          # the first of them may; a second one is about to be refused

    @alone
    def close(self) -> None:
        """Let go of what is held. May be called again."""
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
    """The rows of a span, one by one. `next` of one that was closed raises ClosedError: that was not the end."""

    def __init__(self, moment: Frozen, span: Span, check: Callable[[], object]) -> None:
        super().__init__(moment, check)
        self._rows: Iterator[Any] = iter(()) if span.empty else span.shape(Steadfast(moment.rows, span))
        self._next: Any = _none                 # the row that comes next, where it is known
        self._ended = False                     # all rows are out

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Any:
        while True:
            self._advance()
            row, self._next = self._next, _none     # one step: what is raised comes before it, and then the row is still there
            if row is not _none:
                return row

    @alone
    def _advance(self) -> None:
        """Have the next row."""
        self._check()
        if self._next is _none:
            if self._ended:
                raise StopIteration
            if self._closed:
                raise ClosedError("this scan is closed: begin another one")
            for row in self._rows:
                self._next = row
                return
            self._check()                       # closed meanwhile? Then this is not the end
            self._ended = True
            self._let_go()
            raise StopIteration

    def _let_go(self) -> None:
        self._rows, self._next = iter(()), _none
        super()._let_go()


class Cursor(Guarded):
    """A place in the order of the keys that can be moved both ways, as `lsm.Cursor`. A step in the direction of the last
    one costs a row of a scan, a change of direction a seek."""

    def __init__(self, moment: Frozen, check: Callable[[], object]) -> None:
        super().__init__(moment, check)
        self._rows: Iterator[tuple[bytes, bytes]] = iter(())
        self._reverse = False
        self._row: tuple[bytes, bytes] | None = None

    @alone
    def _move(self, span: Span | None) -> bool:
        """To the first row of the span; None: to the next one in the present direction."""
        self._enter()
        if span is not None:
            self._rows, self._reverse = self._moment.rows(span), span.reverse
        self._row = None                    # what goes wrong leaves it nowhere
        self._row = next(self._rows, None)
        if self._row is None:
            self._check()                   # closed meanwhile? Then this is not the end
        return self._row is not None

    def _enter(self) -> None:
        self._check()
        if self._closed:
            raise ClosedError("this cursor is closed: begin another one")

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

    @alone
    def _here(self) -> tuple[bytes, bytes] | None:
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
