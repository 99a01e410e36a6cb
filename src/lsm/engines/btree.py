"""BTree: an engine on LMDB, the memory-mapped copy-on-write B+tree of OpenLDAP (Chu 2011), through the package `lmdb`.

The tree is LMDB's; what is here maps the contract onto it: one writing process, keys it has no room for, errors, and a map
that need not be sized. docs/engine-btree.md says where its durability differs from that of the other engines.

Invariants
- LMDB takes no empty key. An empty key, and one that begins with a zero byte, is stored behind one more zero byte, which
  keeps the order (`_stored`, `_shown`); so one byte less than LMDB's 511 is left for keys.
- The map is address space, not memory or disk: MAP_BYTES of it, less where the system refuses that. When it is full all the same
  it is doubled, for which no moment may be open.

- Whoever replaces, grows or ends the map waits until nobody reads in it, and keeps new readers out (`_Gate`).
- A moment is open while its transaction is held by anybody: letting go of that ends it, wherever that happens, in a finalizer,
  or where a signal's handler raised. `_transactions` knows them weakly.

Owner: the engine has the environment, each moment a read transaction of its own.
Threads: any. `_lock` guards writing, growing and closing; a lock of the gate each reading.
"""
from __future__ import annotations

import errno
import logging
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import RLock, get_ident
from typing import Any, NoReturn, TypeVar

from lsm._chosen import core
from lsm.contract.moment import Moment, Shared
from lsm.contract.report import Progress, Report
from lsm.contract.simple import SimpleEngine
from lsm.contract.span import Span
from lsm.contract.traits import Traits
from lsm.contract.uninterrupted import uninterrupted
from lsm.errors import (
    BusyError,
    ClosedError,
    CorruptionError,
    ForkedError,
    NotADatabaseError,
    OptionNameError,
    StorageError,
    UnsupportedError,
    VersionError,
)
from lsm.place import LOCK, check_ours, directory_at, lock

try:
    import lmdb
except ImportError:
    lmdb = None  # type: ignore[assignment, unused-ignore]

logger = logging.getLogger("lsm")

MARKER = "BTREE"
MARK = b"lsm btree 1\n"                 # format version 1: what LMDB keeps in data.mdb, keys as `_stored` makes them
DATA, LMDB_LOCK = "data.mdb", "lock.mdb"
COMPACTED = "data.mdb.compacted"
MAP_BYTES = 1 << 40
MAP_BYTES_LEAST = 1 << 20
READERS = 4096                          # moments that may be open at once, in all processes
READ_LOCKS = 8                          # few are asked for often, none by many threads
STRETCH_FIRST = 8                       # rows a scan takes from LMDB at first,
STRETCH = 128                           # twice as many each time, up to this
TOLD_EVERY = 4096                       # rows between two reports of progress

_T = TypeVar("_T")


@dataclass(frozen=True)
class BTreeStats:
    """What LMDB tells of its tree. Prints as two lines."""

    entries: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    page_bytes: int
    bytes: int              # of the file
    map_bytes: int          # address space
    moments: int            # open scans, cursors and snapshots: pages they see are not used again

    def __str__(self) -> str:
        return (f"{self.entries:,} rows in a tree {self.depth} deep: {self.branch_pages:,} branch, {self.leaf_pages:,} leaf, "
                f"{self.overflow_pages:,} overflow pages of {self.page_bytes:,} bytes\n"
                f"{self.bytes:,} bytes on disk, {self.map_bytes:,} bytes of address space; {self.moments} open snapshots and scans")


class _Gate:
    """Many readers, or one who changes what they read in. Who comes when a change is wanted waits behind it, so readers, however
    many and quick, cannot keep it from coming.

    Who reads holds one of a few locks meanwhile, who changes all of them. Each is taken by a `with` and nothing else: so a
    signal's handler that raises leaves none behind. Who holds one, and is here again by a handler or a finalizer, must not wait for
    a change that waits for him.
    """

    def __init__(self) -> None:
        self._locks = tuple(RLock() for _ in range(READ_LOCKS))
        self._numbers = count()
        self._turn = RLock()            # of the change that is wanted, until it is made
        self._wanted = False
        self._changer = 0               # the thread that changes

    def lock(self) -> RLock:
        """For a reading by this thread; threads seldom share one. It lets its own thread in again."""
        if self._wanted and not self._is_reading():
            with self._turn:
                pass
        return self._locks[(get_ident() >> 12) % READ_LOCKS]

    def next_lock(self) -> RLock:
        """For all readings of one moment: one thread at a time uses a transaction. `check_entry` comes before each."""
        return self._locks[next(self._numbers) % READ_LOCKS]

    def _is_reading(self) -> bool:
        return any(lock._is_owned() for lock in self._locks)        # type: ignore[attr-defined]

    def check_entry(self) -> None:
        """Refuse who would wait for itself: a handler or finalizer in the middle of a reading, or a change, of its thread."""
        if self._changer == get_ident() or self._is_reading():
            raise BusyError("a signal handler or finalizer used the database in the middle of a reading of its own thread: let "
                            "it set a flag, and use the database outside of it")
        if self._wanted:
            with self._turn:
                pass

    def alone(self, change: Callable[[], object]) -> None:
        """Change. One at a time: the caller holds the engine's lock."""
        with self._turn:
            try:
                self._wanted = True
                self._alone(READ_LOCKS, change)
            finally:
                self._wanted = False

    def _alone(self, locks: int, change: Callable[[], object]) -> None:
        if locks:
            with self._locks[locks - 1]:
                self._alone(locks - 1, change)
        else:
            try:
                self._changer = get_ident()
                change()
            finally:
                self._changer = 0


class BTree(SimpleEngine):
    """A database on LMDB. Made by `lsm.open(path, engine="btree")`; needs the extra `btree`.

    lazy_sync   False: every write is durable before it returns, `sync=True` or not. True: only kill -9 is survived, until
                `sync`; and after a loss of power LMDB may find its file damaged, also what had been synced.
    """

    traits = Traits("btree", key_bytes_max=510, weak={
        "put": "one transaction each, which copies the pages from leaf to root, and syncs unless lazy_sync: use write_batch",
        "snapshot": "pages that an open snapshot or scan sees are not used again: the file grows with what is written meanwhile",
        "verify": "LMDB keeps no checksums: a flipped bit in a value is not noticed",
        "compact": "does nothing while scans, cursors or snapshots are open",
    })

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0, lazy_sync: bool = False, _map_bytes: int = MAP_BYTES, **options: Any) -> None:
        for name in options:
            raise OptionNameError(name, "lazy_sync" if "sync" in name else None, "btree")
        if lmdb is None:
            raise UnsupportedError("the engine 'btree' stands on LMDB, which is not installed: pip install 'lsmkv[btree]'",
                                   path)
        self._lazy = lazy_sync
        self._directory = directory_at(core, path, create and not read_only, read_only)
        try:
            self._open(os.fsdecode(path), create, read_only, lock_timeout, _map_bytes)
        except BaseException:
            self._directory.close()
            raise
        super().__init__(path, read_only=read_only)
        self._view = Shared(BTreeMoment(self)) if read_only else None      # read-only: what was there when it was opened

    # ------------------------------------------------------------ opening

    def _open(self, path: str, create: bool, read_only: bool, timeout: float, map_bytes: int) -> None:
        names = self._directory.list()
        strangers = (name for name in names if name not in (LOCK, DATA, LMDB_LOCK, COMPACTED, MARKER + ".tmp"))
        check_ours(path, names, MARKER, strangers, create and not read_only)
        if not read_only:
            lock(self._directory, timeout)
            if MARKER not in names:
                self._make()
            if COMPACTED in names:
                self._directory.unlink(COMPACTED)           # a compaction that did not come to its end
        if (mark := self._directory.read(MARKER, limit=256)) != MARK:
            if mark.startswith(MARK.rsplit(b" ", 1)[0]):
                raise VersionError("a newer lsm made this database: upgrade", os.path.join(path, MARKER))
            raise CorruptionError(os.path.join(path, MARKER), 0, "it does not say what it should")
        if read_only and DATA not in names:
            raise NotADatabaseError(path)
        self._transactions: list[weakref.ref[Any]] = []
        self._prune_at = 64
        self._gate = _Gate()
        self._path = path
        self._environment = self._mapped(path, map_bytes, read_only)
        self._check_size()

    def _make(self) -> None:
        """The marker is there, whole, before anything else; without it the directory is still new."""
        new = MARKER + ".tmp"
        if new in self._directory.list():
            self._directory.unlink(new)
        self._directory.create(new, MARK)
        self._directory.rename(new, MARKER)
        self._directory.sync()

    def _mapped(self, path: str, map_bytes: int, read_only: bool) -> Any:
        """The environment, with as much address space as the system gives."""
        while True:
            try:
                return lmdb.open(path, map_size=map_bytes, readonly=read_only, sync=not self._lazy, metasync=not self._lazy,
                                 max_readers=READERS, create=not read_only, max_dbs=0)
            except (MemoryError, lmdb.MemoryError):
                if map_bytes <= MAP_BYTES_LEAST:
                    raise
                map_bytes //= 2
            except lmdb.Error as error:
                raise self._translated(error) from error

    def _check_size(self) -> None:
        """A file that ends before its last page would end the process by SIGBUS when that is looked at."""
        info, size = self._environment.info(), self._directory.size(DATA)
        needed = (info["last_pgno"] + 1) * self._environment.stat()["psize"] if info["last_txnid"] else 0
        if size < needed:
            self._environment.close()
            raise CorruptionError(os.path.join(self._path, DATA), size, f"it is cut short: its tree takes {needed:,} bytes")

    # ------------------------------------------------------------ errors

    def _translated(self, error: Exception) -> Exception:
        if self._closed and hasattr(self, "_lock"):     # closed, not yet opening
            return ClosedError(f"{self.path}: the database is closed: open it again")
        file = os.path.join(self._path, DATA)
        if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)):
            return CorruptionError(file, 0, str(error))
        if isinstance(error, lmdb.VersionMismatchError):
            return VersionError(str(error), file)
        if isinstance(error, lmdb.ReadersFullError):
            return BusyError(f"{self._path}: more than {READERS} scans, cursors and snapshots are open: close some")
        number = errno.ENOSPC if isinstance(error, (lmdb.DiskError, lmdb.MapFullError)) else errno.EIO
        return StorageError(number, str(error), file)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """LMDB's errors as those of this package."""
        try:
            yield
        except lmdb.Error as error:
            raise self._translated(error) from error

    # ------------------------------------------------------------ writing

    def _apply(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        operations = tuple(operations)

        def write() -> None:
            with self._environment.begin(write=True) as transaction:
                for key, value in operations:
                    if value is None:
                        transaction.delete(_stored(key))
                    else:
                        transaction.put(_stored(key), value)

        with self._told():
            self._growing(write)
            if sync and self._lazy:
                self._environment.sync(True)

    def _write(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        self._check_entry()
        super()._write(operations, sync)

    def _growing(self, write: Callable[[], _T]) -> _T:
        """Do it; and again with more room for as long as the map is full. `_lock` is held."""
        while True:
            try:
                return write()
            except lmdb.MapFullError as full:
                if self._open_moments():
                    raise StorageError(errno.ENOSPC, "the map of the database is full, and cannot grow while scans, cursors or "
                                       "snapshots are open: close them", self._path) from full
                self._gate.alone(lambda: self._environment.set_mapsize(2 * self._environment.info()["map_size"]))

    def _check_entry(self) -> None:
        """Before `_lock` is waited for: in the child of a fork nobody gives it back, and who reads must not hold up a change."""
        self._check()
        self._gate.check_entry()

    def sync(self) -> None:
        """Make every write so far survive the loss of power. Nothing is left to do unless `lazy_sync`."""
        self._check_entry()
        with self._lock, self._told():
            self._check_writable()
            self._environment.sync(True)

    flush = sync

    def compact(self) -> None:
        """Write the tree anew without its free pages, and put it in the place of the old one. Not while scans, cursors or
        snapshots are open, which hold the old one: then it does nothing. Cost: reads and writes everything."""
        self._check_entry()
        with self._lock, self._told():
            self._check_writable()
            if moments := self._open_moments():
                logger.info("%s: not compacted, %d scans, cursors or snapshots are open", self.path, moments)
                return
            map_bytes = self._environment.info()["map_size"]
            if COMPACTED in self._directory.list():
                self._directory.unlink(COMPACTED)           # a signal's handler raised in the middle of the one before
            self._copy_to(self._directory, COMPACTED, compact=True)
            self._gate.alone(lambda: uninterrupted(lambda: self._replace(map_bytes), self._left))

    def _replace(self, map_bytes: int) -> None:
        """Go on with the compacted file. When it cannot be opened the database is closed: there is nothing to go on with."""
        self._environment.close()
        try:
            self._directory.rename(COMPACTED, DATA)
            self._directory.sync()
        finally:
            try:
                self._environment = self._mapped(self.path, map_bytes, False)
            except BaseException:
                self._closed = True
                self._directory.close()
                raise

    def _left(self) -> NoReturn:
        raise ForkedError(f"{self.path}: this database was opened by another process; after a fork the child must open its own")

    def _open_moments(self) -> int:
        """How many there are. `_lock` is held."""
        self._transactions = [known for known in self._transactions if known() is not None]
        self._prune_at = 2 * len(self._transactions) + 64
        return len(self._transactions)

    def _begin(self) -> Any:
        """A read transaction for a moment. `_lock` is held."""
        if len(self._transactions) >= self._prune_at:
            self._open_moments()
        transaction = self._environment.begin()
        self._transactions.append(weakref.ref(transaction))
        return transaction

    def _copy_to(self, target: Any, name: str, compact: bool) -> None:
        """The tree as one durable file of that name."""
        place = os.path.join(target.path, name)
        with open(place, "xb") as file:
            self._environment.copyfd(file.fileno(), compact)
            file.flush()
            os.fsync(file.fileno())

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """A copy of the database as it is now, at `path` (new or empty), that can be opened at once. Cost: reads and
        writes everything."""
        self._check_entry()
        with self._lock, self._told():
            self._check()
            target = core.Directory(path, create=True)
            try:
                if names := target.list():
                    raise NotADatabaseError(path, "a checkpoint needs a new or empty directory, this one holds "
                                                  f"{names[0]!r}")
                self._copy_to(target, DATA, compact=True)
                target.sync()
                target.create(MARKER, MARK)
                target.sync()
            finally:
                target.close()

    # ------------------------------------------------------------ reading

    def _find(self, key: bytes) -> bytes | None:
        if self._view is not None:
            return self._view.find(key)
        if len(key) > self.traits.key_bytes_max:
            return None
        with self._told(), self._gate.lock():
            if self._gate._changer:
                self._gate.check_entry()
            with self._environment.begin() as transaction:
                return transaction.get(_stored(key))            # type: ignore[no-any-return]

    def _frozen(self) -> Moment:
        self._check_entry()
        return super()._frozen()

    def _moment(self) -> Moment:
        return self._view.again() if self._view is not None else BTreeMoment(self)     # type: ignore[return-value]

    def __len__(self) -> int:
        """The number of keys; LMDB knows it."""
        self._check()
        return self.stats().entries

    def stats(self) -> BTreeStats:
        """The shape and size of the tree."""
        self._check_entry()
        with self._lock, self._told():
            self._check()
            told, info = self._environment.stat(), self._environment.info()
            return BTreeStats(told["entries"], told["depth"], told["branch_pages"], told["leaf_pages"], told["overflow_pages"],
                              told["psize"], self._directory.size(DATA), info["map_size"], self._open_moments())

    def verify(self, *, progress: Progress | None = None) -> Report:
        """Go through all rows. LMDB has no checksums: what this finds is a broken tree, not a changed value. `progress` is
        called with the bytes of the rows so far, now and then."""
        report = Report()

        def walk() -> tuple[int, int, list[CorruptionError]]:
            size = 0
            for rows, (key, value) in enumerate(self.scan(), 1):
                size += len(key) + len(value)
                if progress is not None and rows % TOLD_EVERY == 0:
                    progress(size)
            return self.stats().leaf_pages, size, []

        self._check()
        report.note(walk)
        return report

    def close(self) -> None:
        """Let go of everything. May be called again. Scans, cursors, snapshots and batches raise ClosedError from now on."""
        if not self._released and os.getpid() == self._process:
            self._gate.check_entry()
        super().close()

    def _release(self) -> None:
        self._gate.alone(self._environment.close)           # the transactions of open moments end by that
        self._directory.close()


class BTreeMoment(Moment):
    """A read transaction. It ends when nobody has it any more, and lets LMDB use the pages again that it saw."""

    def __init__(self, engine: BTree) -> None:
        self._engine = engine
        self._lock = engine._gate.next_lock()
        with engine._told():
            self._transaction = engine._begin()

    def find(self, key: bytes) -> bytes | None:
        if len(key) > self._engine.traits.key_bytes_max:
            return None
        self._engine._gate.check_entry()
        with self._lock, self._engine._told():
            return self._held().get(_stored(key))               # type: ignore[no-any-return]

    def _held(self) -> Any:
        if (transaction := self._transaction) is None:
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        return transaction

    def rows(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        lower, upper, most = span.lower, span.upper, STRETCH_FIRST
        while True:
            self._engine._gate.check_entry()
            with self._lock, self._engine._told():
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
        first = _stored(lower)
        end = None if upper is None else _stored(upper)
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
                    found.append((_shown(key), value))
                    if len(found) == most:
                        break
        return found

    def close(self) -> None:
        self._transaction = None


def _stored(key: bytes) -> bytes:
    """The key as LMDB has it: never empty.

    >>> _stored(b""), _stored(b"\\0a"), _stored(b"a")
    (b'\\x00', b'\\x00\\x00a', b'a')
    """
    return b"\0" + key if not key or key[0] == 0 else key


def _shown(stored: bytes) -> bytes:
    return stored[1:] if stored[0] == 0 else stored
