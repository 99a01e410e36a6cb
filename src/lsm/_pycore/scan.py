"""Scan: the rows of a range, as an iterator; and what it shares with a cursor: the moment they stand on.

That one thread at a time iterates, and none after closing, the plain form of the contract sees to (lsm/contract/rows.py),
over any frozen view. Here that is a View of the tree and a sequence number. It holds the view, so that nothing it stands
on can go away under it, whatever is flushed, compacted or closed meanwhile; the store keeps a list of the open ones, to
end them when it is closed.
"""
from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lsm._pycore.view import View
from lsm._pycore.visible import Row, rows
from lsm.contract.rows import Guarded, Rows
from lsm.contract.span import Span
from lsm.errors import BusyError


class Stand:
    """A view at a moment, held for a scan or a cursor."""

    def __init__(self, store: Any, view: View | None, sequence: int) -> None:
        if view is None:
            store._refuse()                         # closed since the gate was looked at
        self._view = view
        self._sequence = sequence

    def rows(self, span: Span) -> Iterator[Row]:
        assert self._view is not None
        return rows(self._view, self._sequence, span.lower, span.upper, span.reverse)

    def close(self) -> None:
        self._view = None


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
        if reader is not None:
            with suppress(BusyError):
                reader.close()


class Scan(Rows):
    """The rows of a range, as an iterator: see `DB.scan`. `close()`, or a `with` block, lets go of it early."""

    def __init__(self, store: Any, view: View | None, sequence: int, span: Span) -> None:
        super().__init__(Stand(store, view, sequence), span, store._check_readable)
        enlist(store, self)
