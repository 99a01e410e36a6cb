"""View: what readers see at one moment: memtables and tables, newest first. Immutable.

It holds references to all of them, so whoever holds the view can read without a lock, whatever is flushed or compacted
meanwhile. Another state of the tree is another View.

For any key, what comes earlier is newer: memtables newest first, the tables of level 0 newest first, then each deeper
level, in which at most one table can have the key. So a lookup stops at the first that knows the key; a walk merges
them all. `heapq.merge` does that: an entry compares as (key, -tag).
"""
from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from lsm._pycore.bloom import hash64
from lsm._pycore.key import Entry
from lsm._pycore.memtable import Memtable
from lsm._pycore.table import Table


class Run:
    """A sorted run: tables ascending by key, their ranges disjoint. A level below the first, or any one table."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        self._largest = [table.largest for table in tables]

    def table_of(self, key: bytes) -> Table | None:
        """The one table whose range has the key, or None."""
        at = bisect_left(self._largest, key)
        if at < len(self.tables) and self.tables[at].smallest <= key:
            return self.tables[at]
        return None

    def ascending(self, start: bytes | None = None, *, past_cache: bool = False) -> Iterator[Entry]:
        first = 0 if start is None else bisect_left(self._largest, start)
        for table in self.tables[first:]:
            yield from table.ascending(start, past_cache=past_cache)
            start = None

    def descending(self, stop: bytes | None = None) -> Iterator[Entry]:
        end = len(self.tables) if stop is None else bisect_left(self._largest, stop) + 1
        for table in reversed(self.tables[:end]):
            yield from table.descending(stop)
            stop = None


class View:
    def __init__(self, directory: Any, memtables: tuple[Memtable, ...], levels: tuple[tuple[Table, ...], ...]) -> None:
        self.directory = directory
        self.memtables = memtables          # newest first
        self.levels = levels                # level 0 newest first, deeper ones ascending
        young = [Run((table,)) for table in levels[0]] if levels else []
        self._runs = young + [Run(level) for level in levels[1:] if level]

    def find(self, key: bytes, most: int) -> tuple[int, bytes] | None:
        """(tag, value) of the newest version of `key` with a tag of at most `most`, a deletion too; None without any."""
        for memtable in self.memtables:
            found = memtable.find(key, most)
            if found is not None:
                return found
        hash_ = None
        for run in self._runs:
            table = run.table_of(key)
            if table is not None:
                hash_ = hash64(key) if hash_ is None else hash_
                found = table.find(key, hash_, most)
                if found is not None:
                    return found
        return None

    def ascending(self, start: bytes | None = None) -> Iterator[Entry]:
        """Every version of every key from `start` on, in order."""
        sources = [memtable.ascending(start) for memtable in self.memtables if memtable.entries]
        return merged(sources + [run.ascending(start) for run in self._runs])

    def descending(self, stop: bytes | None = None) -> Iterator[Entry]:
        """Every version of every key below `stop`, in the opposite order."""
        sources = [memtable.descending(stop) for memtable in self.memtables if memtable.entries]
        return merged(sources + [run.descending(stop) for run in self._runs], reverse=True)


def merged(sources: list[Iterator[Entry]], reverse: bool = False) -> Iterator[Entry]:
    """Many sorted sources as one."""
    return sources[0] if len(sources) == 1 else heapq.merge(*sources, reverse=reverse)
