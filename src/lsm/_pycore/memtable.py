"""Memtable: the newest writes, sorted in memory, until they are flushed to a table.

A dict finds a key: `versions[key]` is the list of its versions, oldest first, as (tag, value). Only who walks in order
needs the order, so new keys just wait in a list until somebody wants to walk. Then they are sorted into a run, a list that
is never changed again; runs of like size are merged into one, so that there are few: a walk merges what is left. (The
tree on disk goes about it in the same way.) Sorting is done for many keys at once, and a put costs a step of a dict.

Invariants: tags of a key are added in ascending order; nothing is ever removed; every key is in `_versions`, and either in
one of `_runs` or in `_unsorted`. Once the store has rotated to a new memtable nothing is added to this one.

Threads: one writer beside any number of readers. `get` takes no lock: dict and list are whole at each moment. A lock
guards which keys wait; a run is replaced, never changed, so who walks needs none. A walk does not mind keys that come
meanwhile: they are newer than its moment. A signal's handler may come in the middle of anything here, and read, write or
raise: what it finds is whole, because each change is one step.
"""
from __future__ import annotations

import heapq
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from lsm._pycore.key import DELETE, KIND_BITS, KIND_MASK, PUT, Entry, seek_tag, tag_of

ENTRY_BYTES = 280           # what an entry takes beside key and value, measured: their heads, a tuple, lists, a place in the dict

Runs = tuple[list[bytes], ...]      # each sorted, no key in two of them


class Memtable:
    def __init__(self, before: Memtable | None = None) -> None:
        """`before`, the one it follows, is for the compiled core, which sizes its index by it."""
        self.entries = 0                # versions held, tombstones included
        self.tombstones = 0
        self.last_sequence = 0          # of the newest entry, 0 while empty
        self.bytes = 0                  # memory taken, about: what `memtable_bytes` is held against
        self._versions: dict[bytes, list[tuple[int, bytes]]] = {}
        self._runs: Runs = ()
        self._unsorted: list[bytes] = []
        self._lock = threading.RLock()

    def apply(self, sequence: int, key: bytes, value: bytes | None) -> None:
        """Add what a batch asks for: a put, or without a value a delete."""
        if value is None:
            self.add(key, tag_of(sequence, DELETE), b"")
        else:
            self.add(key, tag_of(sequence, PUT), value)

    def add(self, key: bytes, tag: int, value: bytes) -> None:
        """Add one version. The same again changes nothing: a writer that a signal interrupted adds once more."""
        versions = self._versions.get(key)
        if versions is not None and versions[-1][0] >= tag:
            return
        self.entries += 1
        self.tombstones += tag & KIND_MASK == DELETE
        self.last_sequence = tag >> KIND_BITS
        self.bytes += len(key) + len(value) + ENTRY_BYTES
        if versions is None:
            with self._lock:                        # in this order: no signal comes between the two
                self._versions[key] = [(tag, value)]
                self._unsorted.append(key)
        else:
            versions.append((tag, value))

    def find(self, key: bytes, most: int) -> tuple[int, bytes] | None:
        """(tag, value) of the newest version of `key` whose tag is at most `most`, or None."""
        versions = self._versions.get(key)
        if versions is not None:
            for version in reversed(versions):
                if version[0] <= most:
                    return version
        return None

    def ascending(self, start: bytes | None = None) -> Iterator[Entry]:
        """All versions of all keys from `start` on, in order."""
        walks = []
        for run in self._sorted():
            first = 0 if start is None else bisect_left(run, start)
            walks.append(map(run.__getitem__, range(first, len(run))))
        keys: Iterable[bytes] = walks[0] if len(walks) == 1 else heapq.merge(*walks)
        for key in keys:
            for tag, value in reversed(self._versions[key]):
                yield key, -tag, value

    def descending(self, stop: bytes | None = None) -> Iterator[Entry]:
        """All versions of all keys below `stop`, in the opposite order."""
        walks = []
        for run in self._sorted():
            end = len(run) if stop is None else bisect_left(run, stop)
            walks.append(map(run.__getitem__, range(end - 1, -1, -1)))
        keys: Iterable[bytes] = walks[0] if len(walks) == 1 else heapq.merge(*walks, reverse=True)
        for key in keys:
            for tag, value in list(self._versions[key]):
                yield key, -tag, value

    def _sorted(self) -> Runs:
        """All keys there are now, as runs."""
        with self._lock:
            while self._unsorted:
                waiting = self._unsorted
                count = len(waiting)
                runs = with_run(self._runs, sorted(waiting[:count]))
                if waiting is self._unsorted:           # else a signal's handler has been here, in the middle of this
                    self._runs, self._unsorted = runs, waiting[count:]
            return self._runs

    # Doors of the same shape as those of the compiled core, for tests and tools.

    def put(self, key: bytes, sequence: int, kind: int, value: bytes) -> None:
        """Add one version; sequences must ascend."""
        self.add(key, tag_of(sequence, kind), value)

    def get(self, key: bytes, sequence: int) -> tuple[int, int, bytes] | None:
        """(sequence, kind, value) of the newest version at or below `sequence`, or None."""
        found = self.find(key, seek_tag(sequence))
        return None if found is None else (found[0] >> KIND_BITS, found[0] & KIND_MASK, found[1])


def with_run(runs: Runs, run: list[bytes]) -> Runs:
    """One run more. It is merged with those before it that are not more than twice as long.

    >>> with_run(([b"a", b"c", b"e", b"g", b"i"], [b"d"]), [b"b"])
    ([b'a', b'c', b'e', b'g', b'i'], [b'b', b'd'])
    """
    while runs and len(runs[-1]) <= 2 * len(run):
        run = sorted(runs[-1] + run)                # of two sorted halves: as fast as a merge
        runs = runs[:-1]
    return (*runs, run)
