"""History: what open moments must not lose, for engines that overwrite in place.

Each open moment keeps, of every key overwritten since it was taken, what it had then. Only the newest moment is written
to; an older one that does not know a key asks the next newer one, and at last the engine itself.

Cost: a write, one look-up and one insertion in the newest moment while any is open, however many there are; nothing while
none is. A reading of a moment asks each newer one in turn: it grows with their number. Closing makes the next write or moment
go through all that are open, once, and hand on what the closed ones kept.

Invariant: what a moment shows is its own `old`, else that of the next newer, ..., else what is there now. When a moment in
the middle goes, what it kept and the next older one lacks becomes that one's.

A moment that nobody holds any more is closed, however that came about. What a signal's handler interrupted by an exception
leaves `torn`, and the next call of `mend` puts it right.

Threads: the engine's lock is held for every call but `Past.close`.
"""
from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from sortedcontainers import SortedDict

absent: Any = object()              # this moment knows nothing of the key: it is as it was


class Past:
    """What one moment kept: key -> what it had, None when it was not there; in the order of the keys."""

    def __init__(self, holder: object, ended: list[object]) -> None:
        """`ended` gets something whenever `open` may have become false."""
        self.old = SortedDict()
        self.newer: Past | None = None
        self._ended = ended
        self._closed = False
        self._holder = weakref.ref(holder, ended.append)

    @property
    def open(self) -> bool:
        return not self._closed and self._holder() is not None

    def find(self, key: bytes) -> Any:
        """What the key had at the moment, or `absent` when it has not been written since."""
        past: Past | None = self
        while past is not None:
            found = past.old.get(key, absent)
            if found is not absent:
                return found
            past = past.newer
        return absent

    def keys(self, lower: bytes, upper: bytes | None, reverse: bool, most: int) -> Iterator[bytes]:
        """The keys written since between the bounds: of each newer moment the first `most`, in no order over all."""
        past: Past | None = self
        while past is not None:
            keys = past.old.irange(lower, upper, (True, False), reverse)
            for _, key in zip(range(most), keys):
                yield key
            past = past.newer

    def close(self) -> None:
        """Its memory goes with the next write or moment."""
        self._closed = True
        self._ended.append(self)


class History:
    """The open moments of an engine, oldest first."""

    def __init__(self) -> None:
        self.moments: list[Past] = []
        self._ended: list[object] = []  # is there perhaps one to forget? Added to by any thread, in single steps
        self.torn = False               # a change was begun and has not come to its end

    def open(self, holder: object) -> Past:
        """A moment that begins now. One that began when nothing had been written since is not shared: each is closed once."""
        self.prune()
        past = Past(holder, self._ended)
        if self.moments:
            self.moments[-1].newer = past
        self.moments.append(past)
        return past

    def overwritten(self, key: bytes, had: Any) -> None:
        """`key`, which had this (None: nothing), is about to have something else."""
        if self.moments:
            self.prune()
            if self.moments:
                self.torn = True
                self.moments[-1].old.setdefault(key, had)
                self.torn = False

    def prune(self) -> None:
        """Forget the moments that were closed. What a closed one kept, the next older open one may still need."""
        if not self._ended:
            return
        self.torn = True
        self._ended.clear()             # who ends from here on is seen now or the next time
        kept: list[Past] = []
        for past in self.moments:
            if past.open:
                kept.append(past)
            elif kept:
                older = kept[-1]
                for key, had in past.old.items():
                    older.old.setdefault(key, had)
        for past, newer in zip(kept, [*kept[1:], None]):
            past.newer = newer
        self.moments = kept
        self.torn = False

    def mend(self) -> None:
        """Before anything else is done: a change was interrupted, perhaps in the middle of one of a SortedDict, whose keys then
        do not agree with its dict. Make them anew of that. What was noted already is as it is now, and does no harm."""
        if self.torn:
            for past in self.moments:
                past.old = SortedDict(dict(dict.items(past.old)))
            self._ended.append(None)
            self.torn = False
