"""Scan: the rows of a range, as an iterator; and what it shares with a cursor: the moment they stand on.

That one thread at a time iterates, and none after closing, the plain form of the contract sees to (lsm/contract/rows.py),
over any frozen view. Here that is a View of the tree and a sequence number. It holds the view, so that nothing it stands
on can go away under it, whatever is flushed, compacted or closed meanwhile; the store keeps a list of the open ones, to
end them when it is closed.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from typing import Any

from lsm._pycore.view import View
from lsm._pycore.visible import Row, rows
from lsm.contract.rows import Guarded, Rows
from lsm.contract.span import Span
from lsm.errors import Error


class Stand:
    """A view at a moment, held for a scan or a cursor."""

    def __init__(self, store: Any, view: View | None, sequence: int) -> None:
        if view is None:
            store._refuse()                         # closed since the gate was looked at
        self._view = view
        self._sequence = sequence

    def rows(self, span: Span) -> Iterator[Row]:
        return Steadfast(self._begin, span)

    def _begin(self, span: Span) -> Iterator[Row]:
        assert self._view is not None
        return rows(self._view, self._sequence, span.lower, span.upper, span.reverse)

    def close(self) -> None:
        self._view = None


class Steadfast:
    """The rows of a span, whatever is raised in the middle. A generator ends by that, and rows would be missing in silence:
    here damage is raised again for ever, and behind what a signal's handler raised it goes on where it was."""

    def __init__(self, begin: Callable[[Span], Iterator[Row]], span: Span) -> None:
        self._begin = begin
        self._span = span
        self._left = -1 if span.limit is None else span.limit
        self._rows = begin(span)
        self._last: Row | None = None               # given out
        self._damage: Error | None = None

    def __iter__(self) -> Steadfast:
        return self

    def __next__(self) -> Row:
        if self._damage is not None:
            raise self._damage
        if self._left == 0:
            raise StopIteration
        try:
            row = next(self._rows)
        except StopIteration:
            raise
        except Error as error:
            self._damage = error
            raise
        except BaseException:
            self._rows = self._begin(self._rest())
            raise
        self._last = row
        self._left -= 1
        return row

    def _rest(self) -> Span:
        """What is still to come."""
        if self._last is None:
            return self._span
        key = self._last[0]
        return replace(self._span, upper=key) if self._span.reverse else replace(self._span, lower=key + b"\0")


def enlist(store: Any, reader: Guarded) -> None:
    """Once it is made: from now on closing the store ends it."""
    number = id(reader)
    readers = store._readers
    readers[number] = weakref.ref(reader, lambda _: readers.pop(number, None))
    store._check_readable()                         # closed meanwhile


def end_readers(readers: dict[int, Any]) -> None:
    """Free what scans and cursors hold, but for one that is being used just now."""
    for reference in list(readers.values()):
        reader = reference()
        if reader is not None and reader._using.acquire(blocking=False):
            try:
                reader._let_go()
            finally:
                reader._using.release()


class Scan(Rows):
    """The rows of a range, as an iterator: see `DB.scan`. `close()`, or a `with` block, lets go of it early."""

    def __init__(self, store: Any, view: View | None, sequence: int, span: Span) -> None:
        stand = Stand(store, view, sequence)
        Guarded.__init__(self, stand, store._check_readable)
        self._rows = iter(()) if span.empty else stand.rows(span)
        if not (span.keys and span.values):
            self._rows = map(itemgetter(0 if span.keys else 1), self._rows)
        enlist(store, self)
