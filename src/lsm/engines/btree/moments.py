"""Moments: the rows of one moment, over a read transaction of LMDB.

Invariant: it ends when nobody has it any more, and lets LMDB use the pages again that it saw.

Threads: any; a lock of the gate for each reading, the same for all readings of one moment.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from lsm.contract.moment import Moment
from lsm.contract.span import Span
from lsm.engines.btree.environment import Environment
from lsm.engines.btree.layout import KEY_BYTES_MAX, shown, stored
from lsm.errors import ClosedError

STRETCH_FIRST = 8                       # rows a scan takes from LMDB at first,
STRETCH = 128                           # twice as many each time, up to this


class BTreeMoment(Moment):
    """What the tree held when this was made. `told` makes the errors of LMDB those of the engine; `siblings` are the
    transactions of its other moments."""

    def __init__(self, environment: Environment, told: Callable[[], AbstractContextManager[None]],
                 siblings: weakref.WeakSet[Any]) -> None:
        self._environment = environment
        self._told = told
        self._lock = environment.gate.next_lock()
        with told():
            self._transaction: Any = environment.begin(siblings)

    def find(self, key: bytes) -> bytes | None:
        if len(key) > KEY_BYTES_MAX:
            return None
        self._environment.gate.check_entry()
        with self._lock, self._told():
            return self._held().get(stored(key))                # type: ignore[no-any-return]

    def shape(self) -> dict[str, int]:
        """What LMDB tells of the tree as it was."""
        self._environment.gate.check_entry()
        with self._lock, self._told():
            return self._held().stat(self._environment.lmdb.open_db(None))      # type: ignore[no-any-return]

    def _held(self) -> Any:
        if (transaction := self._transaction) is None:
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        return transaction

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        lower, upper, most = span.lower, span.upper, STRETCH_FIRST
        while True:
            self._environment.gate.check_entry()
            with self._lock, self._told():
                stretch = self._stretch(lower, upper, span.reverse, most)
            yield from stretch
            if len(stretch) < most:
                return
            most = min(2 * most, STRETCH)
            if span.reverse:
                upper = stretch[-1][0]
            else:
                lower = stretch[-1][0] + b"\0"

    def _stretch(self, lower: bytes, upper: bytes | None, reverse: bool, most: int) -> list[tuple[bytes, bytes]]:
        """The next rows between the bounds."""
        first = stored(lower)
        end = None if upper is None else stored(upper)
        found: list[tuple[bytes, bytes]] = []
        with self._held().cursor() as cursor:
            if reverse:
                there = cursor.last() if end is None or not cursor.set_range(end) else cursor.prev()
                rows = cursor.iterprev()
            else:
                there = cursor.set_range(first)
                rows = cursor.iternext()
            if there:
                for key, value in rows:
                    if key < first or end is not None and key >= end:
                        break
                    found.append((shown(key), value))
                    if len(found) == most:
                        break
        return found

    def close(self) -> None:
        self._transaction = None
