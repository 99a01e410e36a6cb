"""Database: the log-structured merge-tree as a user meets it: opening, closing, and what goes through the whole tree.

Its other half is the Store of a core, which holds put, get, delete, scan and the like: `_core.Store` in C, `_pycore.Store` in
plain Python. `engines/` joins the two, this half first, under the contract. This half opens and recovers, seals full
memtables, and asks the shaker for what takes long. What comes of opening and closing for any engine: lifecycle.py.

Threads: any, for every method.
"""
from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.contract.report import Progress, Report
from lsm.errors import NotADatabaseError, StorageError
from lsm.lifecycle import Lifecycle
from lsm.opening import check_arguments, check_lock_timeout, read_beside_a_writer
from lsm.options import Options
from lsm.stats import Stats
from lsm.tree import checkpoint, inspect, manifest, recovery
from lsm.tree.compaction import policy_of
from lsm.tree.files import foreign, highest_number
from lsm.tree.flush import flush_oldest
from lsm.tree.shaker import Shaker
from lsm.tree.tree import Tree, passes

if TYPE_CHECKING:
    from lsm import _core

logger = logging.getLogger("lsm")


class Database(Lifecycle):
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

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0, block_cache: _core.BlockCache | None = None,
                 options: Options | None = None, _directory: _core.Directory | None = None, _background: bool = True,
                 **keywords: Any) -> None:
        check_lock_timeout(lock_timeout)                    # before anything is touched
        check_arguments(self.core, Options, block_cache, options, keywords).check_available(self.core.compressions)
        self._open(path, create, read_only, lock_timeout, _directory, manifest.CURRENT, foreign,
                   lambda directory: self._open_to_read(directory, block_cache, options, keywords),
                   lambda directory: self._open_to_write(directory, create, block_cache, options, keywords, _background))

    # ------------------------------------------------------------ opening

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
        self._remove_unnamed(tree, state.number)
        self.options, self._tree = chosen, tree
        self._shaker = Shaker(tree, policy, background)

    def _remove_unnamed(self, tree: Tree, found: int) -> None:
        """Remove what the current manifest does not name. Not while that is still manifest `found`, which was there: the rename
        that made it current may never have reached the disk, if the process that made it failed at just that sync; then a loss
        of power would bring back the manifest before it, which needs its files."""
        try:
            if tree.state.number == found and recovery.unnamed(tree.directory, tree.state):
                tree.install()
        except StorageError as error:
            if not passes(error):
                raise
            logger.warning("%s: no room to be rid of files that are not needed, the next open tries again: %s", self.path,
                           str(error))
            return
        for name in recovery.unnamed(tree.directory, tree.state):
            tree.directory.unlink(name)

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
        def read() -> tuple[Tree, recovery.Replayed]:
            state = manifest.load(directory)
            if state is None:
                raise NotADatabaseError(self.path)
            chosen = Options.from_keywords(options or state.options, **keywords)
            chosen.check_available(self.core.compressions)
            tree = self._tree_of(directory, replace(state, options=chosen), cache)
            return tree, recovery.replay(self.core, directory, state)

        tree, replayed = read_beside_a_writer(read)
        self._begin(replayed.sequence, replayed.sequence, tree.options.memtable_bytes)
        tree.show_recovered(tuple(memtable for _, memtable in reversed(replayed.memtables)))
        self.options, self._tree, self._shaker = tree.options, tree, None    # type: ignore[assignment]  # nothing shakes

    def _tree_of(self, directory: _core.Directory, state: manifest.State, cache: _core.BlockCache | None) -> Tree:
        cache = cache if cache is not None else self.core.BlockCache(state.options.block_cache_bytes)
        tree = Tree(self.core, self, directory, state.options, cache, state, {})
        tree.tables = {meta.number: tree.open_table(meta) for meta in state.version.tables()}
        return tree

    # ------------------------------------------------------------ called back by the store

    def _rotate(self) -> None:
        self._changed(self._tree.switch)

    def _must_not_rotate(self) -> bool:
        return self._tree.is_changing_here()

    def _flush_up_to(self, sequence: int) -> None:
        self._shaker.wait(lambda: all(one.memtable.last_sequence > sequence for one in self._tree.sealed))

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

    def verify(self, *, progress: Progress | None = None) -> Report:
        """Read and check every byte of every file. Answers a Report; it is true when nothing is damaged. `progress` is called
        after each file with the bytes read so far.

        Damage is reported, not raised; StorageError and ClosedError are raised. Cost: reads everything, past the cache;
        reading and writing go on beside it.

        >>> report = db.verify()
        >>> report.ok, report.damage
        (True, ())
        """
        self._check_open()
        return inspect.verify(self._tree, self.read_only, progress)

    def stats(self) -> Stats:
        """What the database holds and what it has done since it was opened: a Stats, which prints as a table. Cost: in
        proportion to the number of tables. Raises ClosedError.

        >>> db.flush()
        >>> db.stats().tables
        0
        """
        self._check_open()
        return inspect.stats(self._tree, self, self._shaker)

    # ------------------------------------------------------------ closing

    def _settle(self) -> None:
        """With nobody else at work: flush all there is, and leave no log."""
        tree = self._tree
        with tree.lock:
            tree.seal_last()
            while tree.sealed:
                flush_oldest(tree)
        self._shaker.tidy()

    def _let_go(self, ended: bool) -> None:
        if self._gate & self.core.GATE_FORKED_FLAG:
            return self._drop_view()
        self._end_readers()
        self._drop_view()
        if ended:
            self._tree.let_go()

    def _background(self) -> Shaker | None:
        return getattr(self, "_shaker", None)
