"""An engine of one's own: the contract of lsm on SQLite, from Python's standard library.

What an engine in plain Python has to write: its traits, how to find a key, how to write many in one step, a moment that holds
still, and what flush, sync, compact, stats and verify mean here. Everything else comes from SimpleEngine. The entry point in
pyproject.toml makes it known: once it is installed, `lsm.open(path, engine="sqlite")` finds it.

Invariants: no error of SQLite's gets out: each statement is made inside of `_told`. A connection is used and closed under its
lock, and after that nobody asks it anything: whether it is closed is looked at behind the lock. The connection of a database
opened to be read is in a transaction from then on, and all it shows goes through that.

Threads: any. Writing has one connection, guarded by the engine's lock; each moment has its own.
"""
from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import lsm
from lsm.contract.moment import Moment
from lsm.contract.report import Progress, Report
from lsm.contract.simple import SimpleEngine
from lsm.contract.span import Span
from lsm.contract.traits import Traits
from lsm.opening import check_lock_timeout

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
        check_lock_timeout(lock_timeout)
        self._file = Path(path) / FILE
        there = self._file.exists()
        if not there and (read_only or not create or Path(path).is_dir() and any(Path(path).iterdir())):
            raise lsm.NotADatabaseError(path)
        Path(path).mkdir(parents=True, exist_ok=True)
        self._moments: set[SQLiteMoment] = set()
        self._held = None if read_only else self._locked(lock_timeout)
        try:
            with _told(self._file):
                self._rows = self._connected(hold=read_only)
                if not there:
                    self._rows.execute("CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        except BaseException:
            if self._held is not None:
                self._held.close()
            raise
        super().__init__(path, read_only=read_only)         # last: from here on it is open

    def _connected(self, hold: bool) -> sqlite3.Connection:
        """`hold`: in a read transaction, whose first look fixes what it sees."""
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")   # kill -9 loses nothing; power loss what came after `sync`
            if hold:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM (SELECT 1 FROM rows LIMIT 1)").fetchone()
        except BaseException:
            connection.close()
            raise
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

    # ------------------------------------------------------------ what SimpleEngine asks for

    def _find(self, key: bytes) -> bytes | None:
        with self._lock, _told(self._file):
            self._check()                                   # closed since `get` looked?
            return _find(self._rows, key)

    def _moment(self) -> SQLiteMoment:
        if self.read_only:
            return SQLiteMoment(self, self._rows, self._lock)
        with _told(self._file):
            moment = SQLiteMoment(self, self._connected(hold=True), RLock())
        self._moments.add(moment)
        return moment

    def _apply(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        with _told(self._file):
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

    def sync(self) -> None:
        with self._lock, _told(self._file):
            self._check_writable()
            self._rows.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with suppress(FileNotFoundError), open(self._file.with_name(FILE + "-wal"), "rb") as log:
                os.fsync(log.fileno())                      # without one, all is in the file, and was synced there

    flush = sync

    def compact(self) -> None:
        """Give free pages back; not while moments are open, which may still see them."""
        with self._lock, _told(self._file):
            self._check_writable()
            if not self._moments:
                self._rows.execute("VACUUM")

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        self._check_writable()
        with self._lock, _told(self._file):
            self._check_writable()
            Path(path).mkdir(parents=True, exist_ok=True)
            if any(Path(path).iterdir()):
                raise lsm.NotADatabaseError(path, "a checkpoint needs a new or empty directory")
            self._rows.execute("VACUUM INTO ?", (str(Path(path) / FILE),))

    def stats(self) -> SQLiteStats:
        with self._lock, _told(self._file):
            self._check()
            return SQLiteStats(self._rows.execute("SELECT count(*) FROM rows").fetchone()[0], self._file.stat().st_size)

    def verify(self, *, progress: Progress | None = None) -> Report:
        def check() -> tuple[int, int, list[lsm.CorruptionError]]:
            with self._lock, _told(self._file):             # what it raises of damage is noted as well
                self._check()
                told = [row[0] for row in self._rows.execute("PRAGMA integrity_check")]
                found = [] if told == ["ok"] else [lsm.CorruptionError(self._file, 0, line) for line in told]
                return 0, self._file.stat().st_size, found

        report = Report()
        report.note(check)
        if progress is not None:
            progress(report.bytes)
        return report

    def _release(self) -> None:
        for moment in tuple(self._moments):
            moment.close()
        self._rows.close()
        if self._held is not None:
            self._held.close()


class SQLiteMoment(Moment):
    """A read transaction, on a connection of its own; or that of a database opened to be read."""

    def __init__(self, engine: SQLite, rows: sqlite3.Connection, lock: Any) -> None:
        self._engine = engine
        self._lock = lock                   # lets its own thread in again: a signal's handler may come
        self._rows = rows
        self._open = True

    def _held(self) -> sqlite3.Connection:
        """`_lock` is held."""
        self._engine._check()
        if not self._open:
            raise lsm.ClosedError("this snapshot is closed: take another one with db.snapshot()")
        return self._rows

    def find(self, key: bytes) -> bytes | None:
        with self._lock, _told(self._engine._file):
            return _find(self._held(), key)

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        lower, upper = span.lower, span.upper
        order = "DESC" if span.reverse else "ASC"
        while True:
            bounds = "key >= ?" + ("" if upper is None else " AND key < ?")
            given = (lower,) if upper is None else (lower, upper)
            with self._lock, _told(self._engine._file):
                stretch = self._held().execute(
                    f"SELECT key, value FROM rows WHERE {bounds} ORDER BY key {order} LIMIT {STRETCH}", given).fetchall()
            yield from stretch
            if len(stretch) < STRETCH:
                return
            if span.reverse:
                upper = stretch[-1][0]
            else:
                lower = stretch[-1][0] + b"\0"

    def close(self) -> None:
        """Not under the engine's lock: a finalizer comes here from anywhere."""
        with self._lock:
            self._open = False
            if self in self._engine._moments:
                self._rows.close()
                self._engine._moments.discard(self)


def _find(rows: sqlite3.Connection, key: bytes) -> bytes | None:
    found = rows.execute("SELECT value FROM rows WHERE key = ?", (key,)).fetchone()
    return found and found[0]


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """The errors of SQLite, and of the system, as those of lsm."""
    try:
        yield
    except lsm.Error:
        raise
    except sqlite3.OperationalError as error:
        raise lsm.StorageError(errno.ENOSPC if "full" in str(error) else errno.EIO, str(error), str(file)) from error
    except sqlite3.Error as error:
        raise lsm.CorruptionError(file, 0, str(error)) from error
    except OSError as error:
        raise lsm.StorageError(error.errno or errno.EIO, error.strerror or str(error), str(file)) from error
