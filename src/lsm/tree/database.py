"""Database: the log-structured merge-tree as a user meets it: opening, closing, and what goes through the whole tree.

Its other half is the Store of a core, which holds put, get, delete, scan and the like: `_core.Store` in C, `_pycore.Store` in
plain Python. `engines/` joins the two, this half first, under the contract. This half opens and recovers, seals full
memtables, and asks the shaker for what takes long.

Invariants: exactly one Database that may write has the directory's lock. After `close`, or in the child of a fork, every
operation raises; a child never changes a file of its parent's.

Threads: any, for every method.
"""
from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import warnings
import weakref
from collections.abc import Iterable
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from lsm.contract.report import Report
from lsm.errors import ClosedError, CorruptionError, ForkedError, NotADatabaseError, ReadOnlyError, StorageError
from lsm.options import Options
from lsm.place import check_ours, directory_at, lock
from lsm.stats import Stats
from lsm.tree import checkpoint, inspect, manifest, recovery
from lsm.tree.compaction import policy_of
from lsm.tree.files import foreign, highest_number
from lsm.tree.flush import flush_oldest
from lsm.tree.shaker import Shaker
from lsm.tree.tree import Tree, passes

if TYPE_CHECKING:
    from lsm import _core
    from lsm._core import Store as OtherHalf
else:
    OtherHalf = object          # which core's Store it is, is said where the two are joined

logger = logging.getLogger("lsm")

READ_ONLY_TRIES = 5         # a writer may replace what a reader is just about to open


class Database(OtherHalf):
    """A database in a directory: an ordered mapping of bytes to bytes that outlives the process. Made by `lsm.open`.

    Keys and values are bytes, or have the buffer protocol; answers are bytes. Any thread may use any method; in the
    child of a fork every method raises ForkedError. A signal handler that comes in the middle of a write of its own
    thread gets BusyError. `path` is the directory, `options` the Options in force, `read_only` what was asked for.

    Cost, on memory-resident data: put, get and delete about a microsecond; a row of a scan a fraction of one. `len`
    counts all keys, `bool` does not, `in` is a get.

    >>> db[b"kenya:capital"] = b"Nairobi"
    >>> db[b"kenya:capital"], b"atlantis:capital" in db, len(db)
    (b'Nairobi', False, 1)
    >>> del db[b"atlantis:capital"]
    Traceback (most recent call last):
    KeyError: b'atlantis:capital'
    >>> db
    <lsm.DB 'data'>
    """

    core: ClassVar[ModuleType]          # where Store, Memtable, Table and the like come from

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0, block_cache: _core.BlockCache | None = None,
                 options: Options | None = None, _directory: _core.Directory | None = None, _background: bool = True,
                 **keywords: Any) -> None:
        _check_arguments(self.core, lock_timeout, block_cache, options, keywords)      # before anything is touched
        if hasattr(self, "_process"):
            raise TypeError(f"{self!r}: a database is opened once: make another one with lsm.open")
        self._process = os.getpid()
        self._close_lock = threading.RLock()
        self._finishing = threading.Lock()      # taken by who ends everything, and never given back
        self.path = os.fsdecode(path)
        self.read_only = read_only
        directory = _directory or directory_at(self.core, path, create and not read_only, read_only)
        try:
            if read_only:
                self._open_to_read(directory, block_cache, options, keywords)
            else:
                names = directory.list()
                check_ours(self.path, names, manifest.CURRENT, foreign(names), create)
                lock(directory, lock_timeout)
                self._uninterrupted(lambda: self._open_to_write(
                    directory, create, block_cache, options, keywords, _background))
        except BaseException:
            self._uninterrupted(lambda: self._give_up_opening(directory))
            raise
        _alive.add(self)
        self._open_gate(read_only=read_only)

    # ------------------------------------------------------------ opening

    def _give_up_opening(self, directory: _core.Directory) -> None:
        """Also when all of it was done and a signal's handler raised meanwhile. The lock goes when nobody is at work."""
        if getattr(self, "_shaker", None) is None or self._shaker.stop():
            directory.close()

    def _open_to_write(self, directory: _core.Directory, create: bool, cache: _core.BlockCache | None,
                       options: Options | None, keywords: dict[str, Any], background: bool) -> None:
        names = directory.list()
        state = manifest.load(directory)
        fresh = state is None
        if state is None:
            state = manifest.State(database_id=os.urandom(16))
        chosen = Options.from_keywords(options or (None if fresh else state.options), **keywords)
        chosen.check_available(self.core.compressions)
        policy = policy_of(chosen)
        tree = self._tree_of(directory, replace(state, options=chosen), cache)
        tree.next_file = max(tree.next_file, highest_number(names) + 1)
        replayed = recovery.replay(self.core, directory, state)
        tree.adopt(replayed.memtables)
        if fresh:
            tree.install()                  # a database is there from the moment that CURRENT is
        self._flush_recovered(tree)
        if tree.sealed and replayed.torn is not None:
            directory.truncate(*replayed.torn)      # or the next recovery would end there, before the new log
        if tree.state.number == state.number and (tree.state.logs, chosen) != (state.logs, state.options):
            tree.install()                  # logs that held nothing, or options that were given
        self._begin(replayed.sequence, tree.state.last_sequence, chosen.memtable_bytes)
        if tree.sealed:
            tree.switch()                   # for these there was no room: they take no part in whether a write must wait
        else:
            tree.show()                     # the first write makes a log: who only reads leaves no trace
        recovery.remove_unnamed(directory, tree.state)
        self.options, self._tree = chosen, tree
        self._shaker = Shaker(tree, policy, background)

    def _flush_recovered(self, tree: Tree) -> None:
        """What was replayed goes to tables before anything else; without room for that, once there is room. Until then
        nothing can be synced: the pages of these logs may never have reached the disk."""
        try:
            while tree.sealed:
                flush_oldest(tree)
        except StorageError as error:
            if not passes(error):
                raise
            logger.warning("%s: no room to flush what the log holds, trying again later: %s", self.path, str(error))

    def _open_to_read(self, directory: _core.Directory, cache: _core.BlockCache | None, options: Options | None,
                      keywords: dict[str, Any]) -> None:
        for tries_left in reversed(range(READ_ONLY_TRIES)):
            try:
                state = manifest.load(directory)
                if state is None:
                    raise NotADatabaseError(self.path)
                chosen = Options.from_keywords(options or state.options, **keywords)
                chosen.check_available(self.core.compressions)
                tree = self._tree_of(directory, replace(state, options=chosen), cache)
                replayed = recovery.replay(self.core, directory, state)
                break
            except (CorruptionError, StorageError):
                if not tries_left:
                    raise
                time.sleep(0.01)            # a writer may have been replacing just these files
        self._begin(replayed.sequence, replayed.sequence, chosen.memtable_bytes)
        tree.show_recovered(tuple(memtable for _, memtable in reversed(replayed.memtables)))
        self.options, self._tree, self._shaker = chosen, tree, None      # type: ignore[assignment]  # read-only: nothing shakes

    def _tree_of(self, directory: _core.Directory, state: manifest.State, cache: _core.BlockCache | None) -> Tree:
        cache = cache if cache is not None else self.core.BlockCache(state.options.block_cache_bytes)
        tree = Tree(self.core, self, directory, state.options, cache, state, {})
        tree.tables = {meta.number: tree.open_table(meta) for meta in state.version.tables()}
        return tree

    # ------------------------------------------------------------ called back by the store

    def _rotate(self) -> None:
        try:
            self._tree.switch()
        except BaseException as error:
            if not passes(error):
                self._fail(error)           # a sync of the log, the manifest or the directory may be what failed
            raise
        if self._shaker is not None:
            self._shaker.tell()

    def _must_not_rotate(self) -> bool:
        return self._tree.is_changing_here()

    def _may_rotate(self) -> bool:
        return self._shaker.may_rotate()

    def _wait_for_room(self) -> None:
        self._shaker.wait_for_room()

    def _flush_up_to(self, sequence: int) -> None:
        self._shaker.wait(lambda: all(one.memtable.last_sequence > sequence for one in self._tree.sealed))

    def _refuse(self) -> None:
        if self._gate & self.core.GATE_FORKED_FLAG:
            raise ForkedError(f"{self.path}: this database was opened by process {self._process}; after a fork the "
                              "child must open its own")
        if self._gate & self.core.GATE_CLOSED_FLAG:
            raise ClosedError(f"{self.path}: the database is closed: open it again")
        if self._failure is not None:
            raise ReadOnlyError(f"{self.path}: the database takes no more writes since one failed: {self._failure}; "
                                "mend the cause, then close and open it again") from self._failure
        raise ReadOnlyError()

    # ------------------------------------------------------------ the whole tree

    def flush(self) -> None:
        """Write what is in memory to tables. When it returns, everything written before is in tables, durably.

        Raises StorageError, ReadOnlyError, ClosedError. Cost: the writing of what is in memory, and waiting for the
        background thread to come to it. Not needed for durability: `sync` is cheaper.
        """
        self._seal()
        before = self._tree.sealed              # not those that others seal while this waits
        self._shaker.wait(lambda: not any(one in self._tree.sealed for one in before))

    def _seal(self) -> None:
        """Put the newest memtable, if it holds anything, among those that wait to be flushed."""
        if self._gate & ~self.core.GATE_SLOW_FLAG:
            self._refuse()
        self._rotate_now()

    def compact(self) -> None:
        """Flush, then merge all tables into one sorted run: one version a key, nothing deleted left (but for what live
        snapshots see). Cost: reads and writes everything, unless nothing is to be gained; needs as much free space as
        the data takes. Ctrl-C ends the waiting, not the work. Raises as `flush`, and CorruptionError.

        >>> db.update({b"a": b"1", b"b": b"2"})
        >>> del db[b"a"]
        >>> db.compact()
        >>> db.stats().entries
        1
        """
        self.flush()
        self._shaker.compact()

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """A copy of the database as it is now, at `path` (new or empty, on the same file system), that can be opened at
        once. Cost: a flush, and one hard link a table; the copy shares the bytes of the tables, so it guards against
        mistakes, not against the disk. Raises NotADatabaseError when `path` holds anything, else as `flush`.

        >>> db[b"a"] = b"1"
        >>> db.checkpoint("copy")
        >>> with lsm.open("copy") as copy:
        ...     copy[b"a"]
        b'1'
        """
        self.flush()
        self._uninterrupted(lambda: checkpoint.write(self._tree, path))

    def verify(self) -> Report:
        """Read and check every byte of every file. Answers a Report; it is true when nothing is damaged.

        Damage is reported, not raised; StorageError and ClosedError are raised. Cost: reads everything, past the cache;
        reading and writing go on beside it.

        >>> report = db.verify()
        >>> report.ok, report.damage
        (True, ())
        """
        self._check_open()
        return inspect.verify(self._tree, self.read_only)

    def stats(self) -> Stats:
        """What the database holds and what it has done since it was opened: a Stats, which prints as a table. Cost: in
        proportion to the number of tables. Raises ClosedError.

        >>> db.flush()
        >>> db.stats().tables
        0
        """
        self._check_open()
        return inspect.stats(self._tree, self, self._shaker)

    def write(self, operations: Iterable[tuple[Any, Any]], *, sync: bool = False) -> int:
        """Write every (key, value) in one step, a value of None meaning: delete. All of them or none, also across a crash;
        answers how many. Of two writes of one key the later one counts. Raises as `put`. Cost: that of a batch.

        >>> db.write([(b"kenya:capital", b"Nairobi"), (b"tanzania:capital", None)])
        2
        """
        with self.write_batch(sync=sync) as batch:
            for key, value in operations:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            return len(batch)

    def _check_open(self) -> None:
        if self._gate & self.core.GATE_SHUT_FLAG:
            self._refuse()

    # ------------------------------------------------------------ closing

    @property
    def closed(self) -> bool:
        """Has it been closed, or been left behind by a fork?"""
        return bool(self._gate & self.core.GATE_SHUT_FLAG)

    def close(self) -> None:
        """Flush what is in memory and let go of files and lock. May be called again.

        A compaction under way is given up, which loses nothing. When the flush fails nothing is lost either: the log
        keeps it, the next open flushes it, and the failure is logged, not raised. Scans, cursors, snapshots and batches
        raise ClosedError from now on. Cost: a flush, and some small compactions; it waits up to 30 seconds for the
        background thread, and if that does not end the lock is kept until the process does.
        """
        if self._gate & self.core.GATE_FORKED_FLAG:
            self._drop_view()
            return
        self._check_entry()
        at_work = threading.get_ident() in self._stand_ins or self._shaker is not None and self._shaker.is_this_thread()
        if not self._close_lock.acquire(blocking=not at_work):
            return                              # called back by what the closing thread waits for
        try:
            self._uninterrupted(self._finish)
        finally:
            self._close_lock.release()

    def _finish(self) -> None:
        """End everything, the lock last. A shaker that does not end keeps it: it may still be writing."""
        if not self._finishing.acquire(blocking=False):
            return
        self._close_gate()
        _alive.discard(self)
        ended = True
        try:
            ended = self.read_only or self._shaker.stop()
            if ended and not self.read_only:
                self._settle()
        except Exception as error:
            logger.warning("%s: not everything could be flushed at close, the log keeps it: %s", self.path, str(error))
        finally:
            self._end_readers()
            self._drop_view()
            if ended:
                self._tree.let_go()
                self._tree.directory.close()
            else:
                logger.error("%s: the background thread does not end; the lock is kept until the process does", self.path)

    def _settle(self) -> None:
        """With nobody else at work: flush all there is, and leave no log."""
        tree = self._tree
        if self._failure is not None:
            return
        with tree.lock:
            tree.seal_last()
            while tree.sealed:
                flush_oldest(tree)
        self._shaker.tidy()

    def __del__(self) -> None:
        if logger is None:                     # the interpreter ends, and has emptied this module: the logs keep it all
            return
        if getattr(self, "_shaker", self) is self or self._gate & self.core.GATE_SHUT_FLAG:
            return                              # never opened, or closed
        warnings.warn(f"the database {self.path!r} was never closed: use `with lsm.open(...)` or close()",
                      ResourceWarning, source=self)
        self.close()

    def __repr__(self) -> str:
        return f"<lsm.{type(self).__name__} {self.path!r}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a database belongs to its process and cannot be pickled: pickle its path and open it there "
                        "with read_only=True")


def _check_arguments(core: ModuleType, lock_timeout: object, block_cache: object, options: object, keywords: dict[str, Any]) -> None:
    if isinstance(lock_timeout, bool) or not isinstance(lock_timeout, (int, float)):
        raise TypeError(f"lock_timeout is a number of seconds, not {type(lock_timeout).__name__}")
    if not 0 <= lock_timeout < float("inf"):
        raise ValueError(f"lock_timeout is a number of seconds from 0, not {lock_timeout!r}")
    if block_cache is not None and not isinstance(block_cache, core.BlockCache):
        raise TypeError(f"block_cache is an lsm.BlockCache, not {type(block_cache).__name__}: "
                        "for a cache of one's own give block_cache_bytes=")
    if options is not None and not isinstance(options, Options):
        raise TypeError(f"options is an lsm.Options, not {type(options).__name__}: "
                        "give its fields as keywords, or options=lsm.Options(...)")
    Options.from_keywords(options, **keywords).check_available(core.compressions)
    if options is not None and keywords:
        raise TypeError(f"give options= or its fields as keywords, not both: {', '.join(keywords)}")


_alive: weakref.WeakSet[Database] = weakref.WeakSet()


def _living() -> list[Database]:
    while True:
        try:
            return list(_alive)
        except RuntimeError:                    # another thread opened or closed one meanwhile
            continue


def _left_by_fork() -> None:
    """In the child of a fork: the databases are the parent's."""
    for db in _living():
        db._close_gate(forked=True)
        db._tree.directory.after_fork_in_child()
    for core in {db.core for db in _living()}:
        core.forked()


def _at_exit() -> None:
    """End the threads while they can still be waited for; what is never closed stays in the logs."""
    for db in _living():
        if db._shaker is not None:
            db._shaker.stop()


os.register_at_fork(after_in_child=_left_by_fork)
atexit.register(_at_exit)
