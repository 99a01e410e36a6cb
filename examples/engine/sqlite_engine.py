"""An engine of one's own: the contract of lsm on SQLite, from Python's standard library.

What an engine in plain Python has to write: how to find a key, how to write many in one step, a moment that holds still,
and what flush, sync, compact, stats and verify mean here. Everything else comes from SimpleEngine. The entry point in
pyproject.toml makes it known: once it is installed, `lsm.open(path, engine="sqlite")` finds it.

Threads: any. Writing has one connection, guarded by the engine's lock; each moment has its own.
"""
from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import lsm
from lsm.contract.moment import Moment
from lsm.contract.report import Progress, Report
from lsm.contract.simple import SimpleEngine
from lsm.contract.span import Span
from lsm.contract.traits import Traits

FILE = "rows.sqlite"
STRETCH = 128                           # rows a scan takes at a time


@dataclass(frozen=True)
class SQLiteStats:
    entries: int
    bytes: int


class SQLite(SimpleEngine):
    """A database in one SQLite file, in WAL mode: readers see the moment they began at, while one writer goes on."""

    traits = Traits("sqlite", weak={
        "put": "a transaction of SQLite each: use write_batch",
        "verify": "SQLite keeps no checksums of values",
        "compact": "does nothing while scans, cursors or snapshots are open",
    })

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0) -> None:
        self._file = Path(path) / FILE
        there = self._file.exists()
        if not there and (read_only or not create or Path(path).is_dir() and any(Path(path).iterdir())):
            raise lsm.NotADatabaseError(path)
        Path(path).mkdir(parents=True, exist_ok=True)
        self._moments: set[SQLiteMoment] = set()
        self._held = None if read_only else self._locked(lock_timeout)
        try:
            self._rows = self._connected()
            if not there:
                self._rows.execute("CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error
        super().__init__(path, read_only=read_only)         # last: from here on it is open

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")       # kill -9 loses nothing; power loss what came after `sync`
        return connection

    def _locked(self, timeout: float) -> sqlite3.Connection:
        """One process writes: a lock that lasts, in a file of its own."""
        connection = sqlite3.connect(self._file.with_name("LOCK"), isolation_level=None, check_same_thread=False,
                                     timeout=timeout)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            connection.close()
            raise lsm.LockedError(self._file.parent) from error
        return connection

    def _translated(self, error: sqlite3.DatabaseError) -> Exception:
        if isinstance(error, sqlite3.OperationalError):
            return lsm.StorageError(5, str(error), str(self._file))
        return lsm.CorruptionError(self._file, 0, str(error))

    # ------------------------------------------------------------ what SimpleEngine asks for

    def _find(self, key: bytes) -> bytes | None:
        with self._lock:
            return _find(self._rows, key)

    def _moment(self) -> SQLiteMoment:
        return SQLiteMoment(self)

    def _apply(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        try:
            if sync:
                self._rows.execute("PRAGMA synchronous = FULL")
            try:
                self._rows.execute("BEGIN IMMEDIATE")
                for key, value in operations:
                    if value is None:
                        self._rows.execute("DELETE FROM rows WHERE key = ?", (key,))
                    else:
                        self._rows.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (key, value))
                self._rows.execute("COMMIT")
            except BaseException:
                if self._rows.in_transaction:
                    self._rows.execute("ROLLBACK")
                raise
            finally:
                if sync:
                    self._rows.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error

    def sync(self) -> None:
        with self._lock:
            self._check_writable()
            self._rows.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with open(self._file.with_name(FILE + "-wal"), "rb") as log:
                os.fsync(log.fileno())

    flush = sync

    def compact(self) -> None:
        """Give free pages back; not while moments are open, which may still see them."""
        with self._lock:
            self._check_writable()
            if not self._moments:
                self._rows.execute("VACUUM")

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)
        if any(Path(path).iterdir()):
            raise lsm.NotADatabaseError(path, "a checkpoint needs a new or empty directory")
        with self._lock:
            self._check()
            self._rows.execute("VACUUM INTO ?", (str(Path(path) / FILE),))

    def stats(self) -> SQLiteStats:
        with self._lock:
            self._check()
            return SQLiteStats(self._rows.execute("SELECT count(*) FROM rows").fetchone()[0], self._file.stat().st_size)

    def verify(self, *, progress: Progress | None = None) -> Report:
        with self._lock:
            self._check()
            told = [row[0] for row in self._rows.execute("PRAGMA integrity_check")]
        report = Report()
        found = [] if told == ["ok"] else [lsm.CorruptionError(self._file, 0, line) for line in told]
        report.note(lambda: (0, self._file.stat().st_size, found))
        return report

    def _release(self) -> None:
        for moment in tuple(self._moments):
            moment.close()
        self._rows.close()
        if self._held is not None:
            self._held.close()


class SQLiteMoment(Moment):
    """A read transaction on a connection of its own. A first look fixes what it sees."""

    def __init__(self, engine: SQLite) -> None:
        self._engine = engine
        self._lock = Lock()
        self._rows = engine._connected()
        self._rows.execute("BEGIN")
        self._rows.execute("SELECT count(*) FROM (SELECT 1 FROM rows LIMIT 1)").fetchone()
        engine._moments.add(self)

    def find(self, key: bytes) -> bytes | None:
        with self._lock:
            return _find(self._rows, key)

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        lower, upper = span.lower, span.upper
        order = "DESC" if span.reverse else "ASC"
        while True:
            bounds = "key >= ?" + ("" if upper is None else " AND key < ?")
            given = (lower,) if upper is None else (lower, upper)
            with self._lock:
                stretch = self._rows.execute(
                    f"SELECT key, value FROM rows WHERE {bounds} ORDER BY key {order} LIMIT {STRETCH}", given).fetchall()
            yield from stretch
            if len(stretch) < STRETCH:
                return
            if span.reverse:
                upper = stretch[-1][0]
            else:
                lower = stretch[-1][0] + b"\0"

    def close(self) -> None:
        with self._engine._lock, self._lock:
            if self in self._engine._moments:
                self._engine._moments.remove(self)
                self._rows.close()


def _find(rows: sqlite3.Connection, key: bytes) -> bytes | None:
    found = rows.execute("SELECT value FROM rows WHERE key = ?", (key,)).fetchone()
    return found and found[0]
