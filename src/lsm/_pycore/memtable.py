"""Memtable: the newest writes, sorted in memory, until they are flushed to a table.

A dict finds a key: `versions[key]` is the list of its versions, oldest first, as (tag, value). Only who walks in order
needs the order: new keys wait in a list, and are put into a SortedList (of the package sortedcontainers) when somebody
wants to walk. So a put costs a step of a dict, and sorting is done for many keys at once.

Invariants: tags of a key are added in ascending order; nothing is ever removed; every key is in `versions`, and either
in `_sorted` or in `_unsorted`. Once the store has rotated to a new memtable nothing is added to this one.

Threads: one writer beside any number of readers. `get` takes no lock: dict and list are whole at each moment. The
order is guarded by a lock, held to add a key or to take the next few out, so that a walk never sees a SortedList that
is being changed. A walk does not mind keys that come meanwhile: they are newer than its moment.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedList

from lsm._pycore.key import DELETE, KIND_BITS, KIND_MASK, PUT, Entry, seek_tag, tag_of

ENTRY_BYTES = 280           # what an entry takes beside key and value, measured: their heads, a tuple, lists, a place in the dict
WALK_KEYS = 256             # keys taken out under the lock at once


class Memtable:
    def __init__(self, before: Memtable | None = None) -> None:
        """`before`, the one it follows, is for the compiled core, which sizes its index by it."""
        self.entries = 0                # versions held, tombstones included
        self.tombstones = 0
        self.last_sequence = 0          # of the newest entry, 0 while empty
        self.bytes = 0                  # memory taken, about: what `memtable_bytes` is held against
        self._versions: dict[bytes, list[tuple[int, bytes]]] = {}
        self._sorted = SortedList()
        self._unsorted: list[bytes] = []
        self._lock = threading.Lock()

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
        inclusive = True
        while True:
            with self._lock:
                self._sort()
                keys = list(islice(self._sorted.irange(start, None, (inclusive, True)), WALK_KEYS))
            for key in keys:
                for tag, value in reversed(self._versions[key]):
                    yield key, -tag, value
            if len(keys) < WALK_KEYS:
                return
            start, inclusive = keys[-1], False

    def descending(self, stop: bytes | None = None) -> Iterator[Entry]:
        """All versions of all keys below `stop`, in the opposite order."""
        while True:
            with self._lock:
                self._sort()
                keys = list(islice(self._sorted.irange(None, stop, (True, False), reverse=True), WALK_KEYS))
            for key in keys:
                for tag, value in list(self._versions[key]):
                    yield key, -tag, value
            if len(keys) < WALK_KEYS:
                return
            stop = keys[-1]

    def _sort(self) -> None:
        if self._unsorted:
            self._sorted.update(self._unsorted)
            self._unsorted = []

    # Doors of the same shape as those of the compiled core, for tests and tools.

    def put(self, key: bytes, sequence: int, kind: int, value: bytes) -> None:
        """Add one version; sequences must ascend."""
        self.add(key, tag_of(sequence, kind), value)

    def get(self, key: bytes, sequence: int) -> tuple[int, int, bytes] | None:
        """(sequence, kind, value) of the newest version at or below `sequence`, or None."""
        found = self.find(key, seek_tag(sequence))
        return None if found is None else (found[0] >> KIND_BITS, found[0] & KIND_MASK, found[1])
