"""BTree: a database on LMDB as a user meets it: opening, writing, reading, closing.

The tree is LMDB's; what is here maps the contract onto it: one writing process, keys it has no room for, errors, and a map
that need not be sized. docs/engine-btree.md says where its durability differs from that of the other engines.

Invariants
- `_environment` is that of the tree `_number`, which BTREE names. Who reads in it makes sure, under a lock of its gate, that it
  still is.
- Writing the tree anew is one step, like a write: what a handler of its own thread wrote meanwhile would be in the old one.
- A sync of the directory, or of a lazy file, that failed is believed (`_failure`): no more writes.

Owner: the engine has the directory and its lock, each moment a read transaction of its own.
Threads: any. `_lock` guards writing, compacting and closing; a lock of the gate each reading.
"""
from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lsm._chosen import core
from lsm.contract.moment import Moment, Shared
from lsm.contract.report import Progress, Report
from lsm.contract.simple import SimpleEngine
from lsm.contract.traits import Traits
from lsm.engines.btree import compaction, copying, environment, inspect, layout, options
from lsm.engines.btree.environment import Environment, environment_of
from lsm.engines.btree.inspect import BTreeStats
from lsm.engines.btree.moments import BTreeMoment
from lsm.errors import ClosedError, NotADatabaseError, ReadOnlyError, UnsupportedError
from lsm.lifecycle import hear_of_forks
from lsm.opening import read_beside_a_writer
from lsm.place import check_ours, directory_at, lock

logger = logging.getLogger("lsm")


class BTree(SimpleEngine):
    """A database on LMDB. Made by `lsm.open(path, engine="btree")`; needs the extra `btree`.

    lazy_sync   False: every write is durable before it returns, `sync=True` or not. True: only kill -9 is survived, until
                `sync`; and after a loss of power LMDB may find its file damaged, also what had been synced.
    """

    traits = Traits("btree", key_bytes_max=layout.KEY_BYTES_MAX, weak={
        "put": "one transaction each, which copies the pages from leaf to root, and syncs unless lazy_sync: use write_batch",
        "snapshot": "pages that an open snapshot or scan sees are not used again: the file grows with what is written meanwhile",
        "verify": "LMDB keeps no checksums: a flipped bit in a value is not noticed",
        "compact": "does nothing while this process has scans, cursors or snapshots open",
    })

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0, lazy_sync: bool = False, _map_bytes: int = options.MAP_BYTES, **others: Any) -> None:
        options.check(lock_timeout, lazy_sync, others)
        if environment.lmdb is None:
            raise UnsupportedError("the engine 'btree' stands on LMDB, which is not installed: pip install 'lsmkv[btree]'",
                                   path)
        self._lazy = lazy_sync
        self._seen: BTreeMoment | None = None
        self._view: Shared | None = None
        self._failure: BaseException | None = None
        self._transactions: weakref.WeakSet[Any] = weakref.WeakSet()        # of this engine's moments
        self._directory = directory_at(core, path, create and not read_only, read_only)
        try:
            self._open(os.fsdecode(path), create, read_only, lock_timeout, _map_bytes)
        except BaseException:
            self._directory.close()
            raise
        super().__init__(path, read_only=read_only)
        hear_of_forks(self)
        if read_only:                   # what was there when it was opened
            try:
                self._seen = self._begin()
                self._view = Shared(self._seen)
            except BaseException:
                self.close()
                raise

    # ------------------------------------------------------------ opening

    def _open(self, path: str, create: bool, read_only: bool, timeout: float, map_bytes: int) -> None:
        names = self._directory.list()
        layout.load(self._directory)            # raises when there are trees that have lost their marker
        check_ours(path, names, layout.MARKER, layout.foreign(names), create and not read_only)
        if read_only:
            self._environment = read_beside_a_writer(lambda: self._entered(True, map_bytes))
            return
        lock(self._directory, timeout)
        number = layout.load(self._directory)
        layout.remove_others(self._directory, number)
        if number is None:
            copying.make_tree(self._directory, layout.FIRST_TREE)
            layout.prepare(self._directory, layout.FIRST_TREE)
            layout.switch(self._directory)
        self._environment = self._entered(False, map_bytes)

    def _entered(self, read_only: bool, map_bytes: int) -> Environment:
        """That of the tree which counts now."""
        number = layout.load(self._directory)
        if number is None:
            raise NotADatabaseError(self._directory.path)
        self._number = number
        return environment_of(layout.tree_path(self._directory, number), self, read_only=read_only, lazy=self._lazy,
                              map_bytes=map_bytes)

    # ------------------------------------------------------------ errors

    @contextmanager
    def _told(self) -> Iterator[None]:
        """LMDB's errors as those of this package."""
        try:
            yield
        except environment.lmdb.Error as error:
            if self._closed and hasattr(self, "_lock"):     # closed, not yet opening
                raise ClosedError(f"{self.path}: the database is closed: open it again") from error
            raise environment.translated(error, self._environment.place) from error

    def _check_entry(self) -> None:
        """Before `_lock` is waited for: in the child of a fork nobody gives it back, and who reads must not hold up a change."""
        self._check()
        self._environment.gate.check_entry()

    def _check_writable(self) -> None:
        super()._check_writable()
        if self._failure is not None:
            raise ReadOnlyError(f"{self.path}: the database takes no more writes since one failed: {self._failure}; "
                                "mend the cause, then close and open it again") from self._failure

    # ------------------------------------------------------------ writing

    def _write(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        self._check_entry()
        super()._write(operations, sync)

    def _apply(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        with self._told():
            self._environment.write(operations)
        if sync and self._lazy:
            self._sync()

    def _sync(self) -> None:
        try:
            with self._told():
                self._environment.lmdb.sync(True)
        except Exception as error:
            self._failure = error
            raise

    def sync(self) -> None:
        """Make every write so far survive the loss of power. Nothing is left to do unless `lazy_sync`."""
        self._check_entry()
        with self._lock:
            self._check_writable()
            self._sync()

    flush = sync

    # ------------------------------------------------------------ the whole tree

    def compact(self) -> None:
        """Write the tree anew without its free pages, and go on with the new one. Not while scans, cursors or snapshots are open
        in this process, which hold the old one: then it does nothing. Readers of other processes go on in the old one, whose
        room is free when they end. Cost: reads and writes everything."""
        self._check_entry()
        with self._lock, self._told():
            self._check_writable()
            if moments := sum(1 for _ in self._environment.moments):
                logger.info("%s: not compacted, %d scans, cursors or snapshots are open", self.path, moments)
                return
            with self._step:
                compaction.compact(self)

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """A copy of the database as it is now, at `path` (new or empty), that can be opened at once. Cost: reads and
        writes everything. When it fails nothing is left there."""
        self._check_entry()
        with self._lock, self._told():
            self._check()
            copying.checkpoint(self._environment, path)

    def stats(self) -> BTreeStats:
        """The shape and size of the tree."""
        self._check_entry()
        with self._lock, self._told():
            self._check()
            shape = self._environment.lmdb.stat() if self._seen is None else self._seen.shape()
            return inspect.stats(self._environment, shape)

    def verify(self, *, progress: Progress | None = None) -> Report:
        """Go through all rows. LMDB has no checksums: what this finds is a broken tree, not a changed value. `progress` is
        called with the bytes of the rows so far, now and then."""
        self._check()
        return inspect.verify(self, progress)

    # ------------------------------------------------------------ reading

    def _find(self, key: bytes) -> bytes | None:
        if self._view is not None:
            return self._view.find(key)
        if len(key) > layout.KEY_BYTES_MAX:
            return None
        while True:
            place = self._environment
            with self._told(), place.gate.lock():
                place.gate.check_change()
                if place is self._environment:      # not compacted meanwhile
                    with place.lmdb.begin() as transaction:
                        return transaction.get(layout.stored(key))          # type: ignore[no-any-return]

    def _frozen(self) -> Moment:
        self._check_entry()
        return super()._frozen()

    def _moment(self) -> Moment:
        return self._view.again() if self._view is not None else self._begin()     # type: ignore[return-value]

    def _begin(self) -> BTreeMoment:
        return BTreeMoment(self._environment, self._told, self._transactions)

    def __len__(self) -> int:
        """The number of keys; LMDB knows it."""
        self._check()
        return self.stats().entries

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Let go of everything. May be called again. Scans, cursors, snapshots and batches raise ClosedError from now on."""
        if not self._released and os.getpid() == self._process:
                self._environment.gate.check_entry()
        super().close()

    def _release(self) -> None:
        self._environment.leave(self, self._transactions)   # those of open moments end by that
        self._directory.close()

    def left_by_fork(self) -> None:
        """In the child: lock and environment are the parent's."""
        self._directory.after_fork_in_child()
        self._seen = self._view = None
