"""Memory: an engine that keeps everything in a SortedDict, and keeps it until it is closed.

For tests, caches and whatever needs the contract and no disk; also the model that the tests hold the other engines
against. `path` names it and nothing else: nothing is read or written there, and two of one path know nothing of each other.

Invariants: `_rows` holds the newest rows; what open moments must still see of overwritten ones, `_history` has. Both are looked at
under `_lock` only, where `_settle` has seen that they are open, whole, and not being changed.
A write is all or nothing also when a signal's handler raises in the middle of it: what moments need is noted first; once a row
may have been changed the write counts, is kept in `_unfinished`, and whoever comes next does the rest (`_settle`).

Threads: any.
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from sortedcontainers import SortedDict

from lsm.contract.moment import Moment
from lsm.contract.report import Progress, Report
from lsm.contract.simple import SimpleEngine
from lsm.contract.span import Span
from lsm.contract.traits import Traits
from lsm.engines.history import History, absent
from lsm.errors import NotADatabaseError, OptionNameError
from lsm.opening import check_lock_timeout

STRETCH_FIRST = 8           # rows a scan takes under the lock at first,
STRETCH = 128               # twice as many each time, up to this

Operations = tuple[tuple[bytes, "bytes | None"], ...]


@dataclass(frozen=True)
class MemoryStats:
    """What a memory engine holds. Prints as a line."""

    entries: int
    bytes: int              # of keys and values
    moments: int            # snapshots, cursors and scans that are open
    kept: int               # rows kept for them that were overwritten or deleted since

    def __str__(self) -> str:
        return (f"{self.entries:,} rows of {self.bytes:,} bytes in memory; {self.kept:,} older ones kept for "
                f"{self.moments} open snapshots and scans")


class Memory(SimpleEngine):
    """A database in memory: its data is gone when it is closed. Made by `lsm.open(path, engine="memory")`.

    >>> with lsm.open("nowhere", engine="memory") as db:
    ...     db[b"kenya:capital"] = b"Nairobi"
    ...     with db.snapshot() as then:
    ...         db[b"kenya:capital"] = b"NBO"
    ...         then[b"kenya:capital"], db[b"kenya:capital"]
    (b'Nairobi', b'NBO')
    """

    traits = Traits("memory", durable=False, keys_in_memory=True, values_in_memory=True, weak={
        "close": "its data is gone then",
        "sync": "does nothing: a crash of the process loses everything",
    }, refused={"checkpoint": "what is in memory has no files to copy (`lsm convert` copies rows)"})

    def __init__(self, path: str | os.PathLike[str] = "memory", *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0, **options: Any) -> None:
        check_lock_timeout(lock_timeout)
        for name in options:
            raise OptionNameError(name, engine="memory")
        if read_only or not create:
            raise NotADatabaseError(path, "a database of the engine 'memory' is gone when it is closed: "
                                          "there is none to open")
        self._rows = SortedDict()
        self._history = History()
        self._bytes = 0
        self._unfinished: Operations = ()           # what a write that has begun to change rows writes
        super().__init__(path)

    def _find(self, key: bytes) -> bytes | None:
        with self._lock:
            self._settle()
            return self._rows.get(key)          # type: ignore[no-any-return]

    def _apply(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        operations = tuple(operations)
        self._finish()
        for key, _ in operations:
            self._history.overwritten(key, self._rows.get(key))
        self._unfinished = operations
        for key, value in operations:
            self._put(key, value)
        self._unfinished = ()

    def _put(self, key: bytes, value: bytes | None) -> None:
        had = self._rows.get(key)
        if value is not None:
            self._rows[key] = value
            self._bytes += len(value) + (len(key) if had is None else -len(had))
        elif had is not None:
            del self._rows[key]
            self._bytes -= len(key) + len(had)

    def _settle(self) -> None:
        """Before anything is read, `_lock` is held: was it closed meanwhile? And finish what was interrupted."""
        self._check()
        if self._unfinished or self._history.torn:
            with self._step:
                self._finish()

    def _finish(self) -> None:
        """The interruption may have come in the middle of a step of a SortedDict, whose keys then do not agree with its dict:
        make it anew of that, with all of the write done. Interrupted again, it is begun again by who comes next."""
        self._history.mend()
        if self._unfinished:
            rows = dict(dict.items(self._rows))
            for key, value in self._unfinished:
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            self._rows, self._bytes = SortedDict(rows), sum(len(key) + len(value) for key, value in rows.items())
            self._unfinished = ()

    def _moment(self) -> MemoryMoment:
        self._settle()
        with self._step:
            return MemoryMoment(self)

    def __len__(self) -> int:
        """The number of keys; it is known."""
        self._check()
        with self._lock:
            self._settle()
            return len(self._rows)

    def flush(self) -> None:
        """Nothing: there is nowhere to flush to."""
        self._check_writable()

    def sync(self) -> None:
        """Nothing: what is in memory does not survive the loss of power."""
        self._check_writable()

    def compact(self) -> None:
        """Nothing: what is overwritten or deleted takes no room."""
        self._check_writable()

    def checkpoint(self, path: str | os.PathLike[str]) -> NoReturn:
        """NotOfferedError: there are no files to copy."""
        self._check()
        self._refuse("checkpoint", "lsm", "btree")

    def stats(self) -> MemoryStats:
        """How much there is."""
        self._check()
        with self._lock:
            self._settle()
            with self._step:
                self._history.prune()
            moments = self._history.moments
            return MemoryStats(len(self._rows), self._bytes, len(moments), sum(len(past.old) for past in moments))

    def verify(self, *, progress: Progress | None = None) -> Report:
        """A Report of nothing read: memory has no checksums."""
        self._check()
        return Report()

    def _release(self) -> None:
        self._rows, self._unfinished = SortedDict(), ()
        self._history = History()


class MemoryMoment(Moment):
    """The rows as they were when it was made."""

    def __init__(self, engine: Memory) -> None:
        self.engine = engine
        self.past = engine._history.open(self)

    def find(self, key: bytes) -> bytes | None:
        with self.engine._lock:
            self.engine._settle()
            return self._find(key)

    def _find(self, key: bytes) -> bytes | None:
        found = self.past.find(key)
        return self.engine._rows.get(key) if found is absent else found      # type: ignore[no-any-return]

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        lower, upper, most = span.lower, span.upper, STRETCH_FIRST
        while True:
            with self.engine._lock:
                self.engine._settle()
                with self.engine._step:         # a write by a handler would move what is being walked over
                    stretch, last = self._stretch(lower, upper, span.reverse, most)
            yield from stretch
            most = min(2 * most, STRETCH)
            if last is None:
                return
            if span.reverse:
                upper = last
            else:
                lower = last + b"\0"

    def _stretch(self, lower: bytes, upper: bytes | None, reverse: bool,
                 most: int) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """The next rows, and the key they go up to, None at the end. No source gives more keys than are looked at, so that
        what lies behind the last of them is left for the next stretch."""
        now = [key for _, key in zip(range(most), self.engine._rows.irange(lower, upper, (True, False), reverse))]
        keys = sorted({*now, *self.past.keys(lower, upper, reverse, most)}, reverse=reverse)[:most]
        rows = [(key, value) for key in keys if (value := self._find(key)) is not None]
        return rows, keys[-1] if len(keys) == most else None

    def close(self) -> None:
        self.past.close()
