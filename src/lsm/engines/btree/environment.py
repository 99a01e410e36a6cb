"""Environment: LMDB's environment of one tree, and all that this process does in it.

LMDB opens a file once in a process. So who opens a database read-only beside the one that writes, in the same process, shares
its environment; the last of its users closes it. Who would write where somebody of this process only reads is refused.

Invariants
- The map is address space: as much as is asked for, less where the system refuses that. When it is full all the same it is
  doubled, for which no moment may be open.
- A moment is open while its transaction is held by anybody: letting go of that ends it, wherever that happens, in a finalizer,
  or where a signal's handler raised. `moments` knows them weakly. One begins under a lock of the gate.
- The child of a fork never closes what is its parent's: ending a transaction there would end the parent's.

Owner: the engines that use it. Threads: any. There is no lock of who uses what: users come under a lock of the gate, the last
one closes under all of them; and that a file is opened once LMDB sees to.
"""
from __future__ import annotations

import errno
import os
import time
import weakref
from collections.abc import Iterable
from typing import Any

from lsm.engines.btree.gate import Gate
from lsm.engines.btree.layout import DATA, stored
from lsm.engines.btree.options import MAP_BYTES_LEAST
from lsm.errors import BusyError, CorruptionError, StorageError, VersionError

try:
    import lmdb
except ImportError:
    lmdb = None  # type: ignore[assignment, unused-ignore]

READERS = 4096                          # moments that may be open at once, in all processes
WRITES_BETWEEN_LOOKS = 64               # at the readers: have some been killed?
OPEN_TRIES, RETRY_SECONDS = 100, 0.01

_known: weakref.WeakValueDictionary[tuple[int, int], Environment] = weakref.WeakValueDictionary()


class Environment:
    """Made by `environment_of`. `lmdb` is the environment of that package."""

    def __init__(self, place: str, key: tuple[int, int], read_only: bool, lazy: bool, map_bytes: int) -> None:
        self.place = place
        self.read_only = read_only
        self.lazy = lazy
        self.gate = Gate()
        self.users: weakref.WeakSet[Any] = weakref.WeakSet()
        self.moments: weakref.WeakSet[Any] = weakref.WeakSet()      # transactions
        self._key = key
        self._writes = 0
        self._closed = False
        self.lmdb = mapped(place, read_only, lazy, map_bytes)

    # ------------------------------------------------------------ what is done in it

    def begin(self, of: weakref.WeakSet[Any]) -> Any:
        """A read transaction for a moment, one of a user's."""
        self.gate.check_entry()
        with self.gate.lock():
            try:
                transaction = self.lmdb.begin()
            except lmdb.ReadersFullError:
                self.lmdb.reader_check()                    # some may have been killed
                transaction = self.lmdb.begin()
            self.moments.add(transaction)
            of.add(transaction)
            return transaction

    def write(self, operations: Iterable[tuple[bytes, bytes | None]]) -> None:
        """All of them or none, with more room for as long as the map is full. One at a time."""
        operations = tuple(operations)
        while True:
            try:
                self._write(operations)
                break
            except lmdb.MapFullError as full:
                self.gate.alone(lambda full=full: self._grow(full))         # type: ignore[misc]
        self._writes += 1
        if self._writes % WRITES_BETWEEN_LOOKS == 0:
            self.lmdb.reader_check()

    def _write(self, operations: tuple[tuple[bytes, bytes | None], ...]) -> None:
        with self.lmdb.begin(write=True) as transaction:
            for key, value in operations:
                if value is None:
                    transaction.delete(stored(key))
                else:
                    transaction.put(stored(key), value)

    def _grow(self, full: Exception) -> None:
        if any(True for _ in self.moments):             # `len` counts dead ones, when a handler raised as they went
            raise StorageError(errno.ENOSPC, "the map of the database is full, and cannot grow while scans, cursors or "
                               "snapshots are open: close them", self.place) from full
        self.lmdb.set_mapsize(2 * self.map_bytes)

    @property
    def map_bytes(self) -> int:
        return self.lmdb.info()["map_size"]                 # type: ignore[no-any-return]

    @property
    def file_bytes(self) -> int:
        """Of the file; of one that is removed already, another process having compacted it, the pages in use."""
        try:
            return os.stat(os.path.join(self.place, DATA)).st_size
        except FileNotFoundError:
            return self._bytes_needed()

    def _bytes_needed(self) -> int:
        info = self.lmdb.info()
        return (info["last_pgno"] + 1) * self.lmdb.stat()["psize"] if info["last_txnid"] else 0     # type: ignore[no-any-return]

    def check_size(self) -> None:
        """A file that ends before its last page would end the process by SIGBUS when that is looked at."""
        needed, size = self._bytes_needed(), self.file_bytes
        if size < needed:
            self.close()
            raise CorruptionError(os.path.join(self.place, DATA), size, f"it is cut short: its tree takes {needed:,} bytes")

    # ------------------------------------------------------------ who uses it

    def join(self, user: object) -> bool:
        """One more user; False when the last one has closed it."""
        self.gate.check_entry()
        with self.gate.lock():
            if not self._closed:
                self.users.add(user)
            return not self._closed

    def leave(self, user: object, transactions: Iterable[Any]) -> None:
        """End these transactions of a user, who needs it no more. May be called again."""
        self.users.discard(user)
        self.gate.alone(lambda: self._end(list(transactions)))

    def _end(self, transactions: list[Any]) -> None:
        if not any(True for _ in self.users):
            self.close()                        # which ends them, too
        else:
            for transaction in transactions:
                transaction.abort()
                self.moments.discard(transaction)

    def close(self) -> None:
        """Nobody uses it. May be called again."""
        self._closed = True
        self.lmdb.close()
        if _known.get(self._key) is self:
            del _known[self._key]


def environment_of(place: str, user: object, *, read_only: bool, lazy: bool, map_bytes: int) -> Environment:
    """The environment of the tree in the directory `place`, which must be there, for one more user."""
    for left in reversed(range(OPEN_TRIES)):
        key = _key_of(place)
        known = _known.get(key)
        if known is None:
            try:
                made = Environment(place, key, read_only, lazy, map_bytes)
            except BusyError:
                if not left:
                    raise
                time.sleep(RETRY_SECONDS)       # another thread has just opened it, and will be known for it
                continue
            made.check_size()
            made.users.add(user)
            _known[key] = made
            made.lmdb.reader_check()            # who was killed pins no pages any more
            return made
        _check_shared(known, read_only, lazy)
        if known.join(user):
            return known
    raise _busy(place)


def _key_of(place: str) -> tuple[int, int]:
    """By which the file is known. LMDB would take one that is missing or empty for a new database, and make it."""
    file = os.path.join(place, DATA)
    try:
        told = os.stat(file)
    except FileNotFoundError:
        raise CorruptionError(file, 0, "it is missing") from None
    except OSError as error:
        raise StorageError(error.errno, error.strerror, file) from error
    if not told.st_size:
        raise CorruptionError(file, 0, "it is empty")
    return told.st_dev, told.st_ino


def _check_shared(known: Environment, read_only: bool, lazy: bool) -> None:
    if not read_only and (known.read_only or known.lazy != lazy):
        raise BusyError(f"{os.path.dirname(known.place)}: this process has it open to read"
                        f"{'' if known.read_only else f', with lazy_sync={known.lazy}'}, and LMDB opens a file once in a process: "
                        "close that first; or open it to write first, then to read")


def mapped(place: str, read_only: bool, lazy: bool, map_bytes: int) -> Any:
    """LMDB's environment in this directory, with as much address space as the system gives."""
    while True:
        try:
            return lmdb.open(place, map_size=map_bytes, readonly=read_only, sync=not lazy, metasync=not lazy, max_readers=READERS,
                             create=False, max_dbs=0)
        except (MemoryError, lmdb.MemoryError):
            if map_bytes <= MAP_BYTES_LEAST:
                raise
            map_bytes //= 2
        except lmdb.Error as error:
            raise translated(error, place) from error


def translated(error: Exception, place: str) -> Exception:
    """An error of LMDB as one of this package."""
    file = os.path.join(place, DATA)
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)):
        return CorruptionError(file, 0, str(error))
    if isinstance(error, lmdb.VersionMismatchError):
        return VersionError(str(error), file)
    if isinstance(error, lmdb.ReadersFullError):
        return BusyError(f"{place}: more than {READERS} scans, cursors and snapshots are open: close some")
    if "already open in this process" in str(error):
        return _busy(place)
    number = errno.ENOSPC if isinstance(error, (lmdb.DiskError, lmdb.MapFullError)) else max(getattr(error, "code", 0), 0) or errno.EIO
    return StorageError(number, str(error), file)


def _busy(place: str) -> BusyError:
    return BusyError(f"{place}: this process has it open by other means, or holds scans and snapshots of it from before a fork; LMDB "
                     "opens a file once in a process: let go of those first")


def left_by_fork() -> None:
    """In the child of a fork: what is known is the parent's, and is let go of unclosed."""
    for environment in list(_known.values()):
        environment.lmdb = None
    _known.clear()


os.register_at_fork(after_in_child=left_by_fork)
