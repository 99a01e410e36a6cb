"""Loss: a stretch of a file that cannot be read, and what it may have held: which keys, how new, how far up in the database.

Whether a row that was rescued is still the newest of its key is decided here: it may be stale when some loss could have held
something newer of that key. Immutable.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from lsm.errors import CorruptionError


@dataclass(frozen=True)
class Loss:
    """`keys` from `low` to `high`, both inclusive, None: no bound. `newest`: no write in it is above this sequence number, None:
    not known. `rank`: whatever has a smaller one is newer than all that was lost. Without `entries` no row is lost."""

    path: str
    offset: int
    size: int
    detail: str
    low: bytes | None = None
    high: bytes | None = None
    newest: int | None = None
    rank: int = 0
    entries: bool = True

    def error(self) -> CorruptionError:
        return CorruptionError(self.path, self.offset, self.detail, (self.low, self.high) if self.entries else None)

    def hides(self, key: bytes, sequence: int, rank: int) -> bool:
        """May it have held something newer of this key than the row of this sequence from that rank?"""
        return (self.entries and rank >= self.rank and (self.newest is None or self.newest > sequence)
                and (self.low is None or self.low <= key) and (self.high is None or key <= self.high))

    def newer_than(self, other: Loss) -> bool:
        """May it have held something newer than all that the other one may have?"""
        return other.newest is not None and (self.newest is None or self.newest > other.newest)


class Doubt:
    """Answers, for keys that ascend, whether a row may be stale; and between which keys such rows lay."""

    def __init__(self, losses: Iterable[Loss]) -> None:
        worst: dict[tuple[bytes | None, bytes | None, int], Loss] = {}      # of those that reach over the same keys
        for loss in losses:
            about = loss.low, loss.high, loss.rank
            if loss.entries and (about not in worst or loss.newer_than(worst[about])):
                worst[about] = loss
        self._waiting = [(loss.low or b"", at, loss) for at, loss in enumerate(worst.values())]
        heapq.heapify(self._waiting)
        self._met: list[Loss] = []
        self.rows = 0
        self.ranges: list[tuple[bytes, bytes]] = []
        self._going_on = False

    def about(self, key: bytes, sequence: int, rank: int) -> bool:
        while self._waiting and self._waiting[0][0] <= key:
            self._met.append(heapq.heappop(self._waiting)[2])
        self._met = [loss for loss in self._met if loss.high is None or key <= loss.high]
        stale = any(loss.hides(key, sequence, rank) for loss in self._met)
        if stale:
            self.rows += 1
            if self._going_on:
                self.ranges[-1] = (self.ranges[-1][0], key)
            else:
                self.ranges.append((key, key))
        self._going_on = stale
        return stale
