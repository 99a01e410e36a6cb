"""Tree: what a database is made of now, and the one way to change it.

The parts: the version (which tables, immutable), the open tables, the memtables that wait to be flushed, oldest first,
and the newest memtable with its log. `install` makes the next version durable, then shows it to readers in one step.

Invariants
- The manifest on disk names every table of the version and every log whose writes are not all in tables. A log is in
  the manifest before its first record is acknowledged.
- What a reader sees is a View made of exactly these parts; it is replaced, never changed.
- A table leaves the disk when it is in no version any more and its last holder lets it go.

Owner: the database owns the tree; the tree refers to the database (its Store half) weakly.
Threads: `lock` guards every change. A writer that rotates holds the store's write lock and takes this one after it;
nobody takes the write lock while holding this one. The main thread never holds it itself (`Gate._uninterrupted`), as a
signal handler may wait for who wants it. Who only looks takes `parts`, one consistent whole, without a lock.
"""
from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING

from lsm.background import Dropped, passes
from lsm.errors import ClosedError, CorruptionError, Error, StorageError
from lsm.options import Options
from lsm.tree import manifest
from lsm.tree.files import log_name, table_name
from lsm.tree.version import TableMeta, Version

if TYPE_CHECKING:
    from lsm import _core

logger = logging.getLogger("lsm")

SEALED_MAX = 2          # full memtables that may wait to be flushed while another one is written


@dataclass(frozen=True)
class Sealed:
    """A memtable that is full, and the log that holds the same writes until it is a table."""

    memtable: _core.Memtable
    log: int


@dataclass
class Counters:
    """What has been done since the database was opened."""

    flushes: int = 0
    bytes_flushed: int = 0
    compactions: int = 0
    bytes_compacted_in: int = 0
    bytes_compacted_out: int = 0
    filter_probes: int = 0              # of tables that are gone
    filter_negatives: int = 0
    false_positives: int = 0
    block_reads: int = 0


@dataclass(frozen=True)
class Parts:
    """What there is at one moment."""

    state: manifest.State
    tables: dict[int, _core.Table]
    memtables: tuple[_core.Memtable, ...]       # newest first
    logs: tuple[_core.LogWriter, ...]


def _newest_first(sealed: tuple[Sealed, ...]) -> tuple[_core.Memtable, ...]:
    return tuple(one.memtable for one in reversed(sealed))


class Tree:
    def __init__(self, core: ModuleType, store: _core.Store, directory: _core.Directory, options: Options, cache: _core.BlockCache,
                 state: manifest.State, tables: dict[int, _core.Table]) -> None:
        self.core = core                        # the compiled one, or its twin
        self._store = weakref.ref(store)
        self.directory = directory
        self.options = options
        self.cache = cache
        self.state = state
        self.tables = tables
        self.sealed: tuple[Sealed, ...] = ()
        self.memtable = self.core.Memtable()
        self.logs: tuple[_core.LogWriter, ...] = ()
        self.next_file = state.next_file
        self.counters = Counters()
        self.lock = threading.RLock()
        self._parts: Parts | None = None        # what is shown; None before, and once it is let go

    @property
    def store(self) -> _core.Store:
        store = self._store()
        if store is None:
            raise Dropped("the database was dropped while work on it was under way")
        return store

    @property
    def parts(self) -> Parts:
        """What readers are shown, all of one moment. Raises ClosedError when it was let go."""
        parts = self._parts
        if parts is None:
            self.check_open()
            raise ClosedError("the database is being opened or closed")
        return parts

    def check_open(self) -> None:
        """Raise ClosedError or ForkedError when the database was left."""
        if self.store._gate & self.core.GATE_SHUT_FLAG:
            self.store._refuse()

    def is_changing_here(self) -> bool:
        """Is this thread in the middle of a change? What a finalizer or handler does from there must not begin another."""
        return self.lock._is_owned()            # type: ignore[attr-defined, no-any-return, unused-ignore]

    @property
    def version(self) -> Version:
        return self.state.version

    def new_number(self) -> int:
        """A number no file of this database ever had."""
        with self.lock:
            number = self.next_file
            self.next_file += 1
            return number

    def open_table(self, meta: TableMeta) -> _core.Table:
        name = table_name(meta.number)
        try:
            return self.core.Table(self.directory, name, self.cache, size=meta.size, number=meta.number,
                               database_id=self.state.database_id)
        except FileNotFoundError as error:
            raise CorruptionError(os.path.join(self.directory.path, name), 0,
                                  "the table is missing although the manifest names it") from error

    def switch(self) -> None:
        """Put a new memtable and a new log in the place of the present ones, which are sealed if they hold anything.

        The caller holds the write lock. When this raises, nothing has changed.
        """
        with self.lock:
            memtable = self.core.Memtable(self.memtable)
            log = self.core.LogWriter(self.directory, self.new_number(), self.state.database_id)
            sealed, kept = self.sealed, self.logs
            if self.logs and self.memtable.entries:
                sealed += (Sealed(self.memtable, self.logs[-1].number),)
            else:
                kept = self.logs[:-1]           # an empty log: nothing refers to it any more
            empty = {one.number for one in self.logs[len(kept):]}
            view = self._view(self.version, self.tables, (memtable, *_newest_first(sealed)))
            numbers = tuple(number for number in self.state.logs if number not in empty)
            try:
                self._write_manifest(replace(self.state, logs=(*numbers, log.number)))
            except BaseException:
                if self.store._failure is None and log.number not in self.state.logs:
                    self.remove_file(log.name)      # no manifest names it, nor ever will
                raise
            self.sealed, self.memtable, self.logs = sealed, memtable, (*kept, log)
            self._put_on_show(view)
        for number in empty:
            self.remove_file(log_name(number))

    def seal_last(self) -> None:
        """For closing: seal the newest memtable without another one in its place."""
        if not self.logs:
            return                              # nothing was written
        log = self.logs[-1].number
        if self.memtable.entries:
            self.sealed += (Sealed(self.memtable, log),)
        else:
            self._write_manifest(replace(self.state, logs=tuple(n for n in self.state.logs if n != log)))
            self.remove_file(log_name(log))
        self.memtable = self.core.Memtable()

    def adopt(self, memtables: Iterable[tuple[int, _core.Memtable]]) -> None:
        """Take over what recovery read, as (log, memtable): to be flushed before anything is written."""
        self.sealed = tuple(Sealed(memtable, log) for log, memtable in memtables if memtable.entries)
        self.state = replace(self.state, logs=tuple(one.log for one in self.sealed))

    def install(self, add: Iterable[tuple[int, TableMeta]] = (), remove: Iterable[int] = (),
                opened: dict[int, _core.Table] | None = None, flushed: Sealed | None = None) -> None:
        """Make the version with these tables added and removed the current one; `flushed`: that memtable is a table.

        The files to add are durable, names included, and open in `opened`. When this raises StorageError before the
        manifest was switched nothing has changed; after that the store takes no more writes.
        """
        added = tuple(add)
        removed = tuple(remove)
        with self.lock:
            state = replace(self.state, version=self.version.edit(added, removed))
            sealed, logs = self.sealed, self.logs
            if flushed is not None:
                sealed = tuple(one for one in sealed if one is not flushed)
                logs = tuple(log for log in logs if log.number != flushed.log)
                state = replace(state, logs=tuple(number for number in state.logs if number != flushed.log),
                                last_sequence=max(state.last_sequence, flushed.memtable.last_sequence))
            gone = self._obsolete(removed, {meta.number for _, meta in added})
            tables = {number: table for number, table in {**self.tables, **(opened or {})}.items()
                      if number not in gone}
            view = self._view(state.version, tables, (self.memtable, *_newest_first(sealed)))
            self._write_manifest(state)
            self.tables, self.sealed, self.logs = tables, sealed, logs
            for table in gone.values():
                self._retire(table)
            self._put_on_show(view)
        if flushed is not None:
            self.remove_file(log_name(flushed.log))

    def _obsolete(self, removed: Iterable[int], added: set[int]) -> dict[int, _core.Table]:
        return {number: self.tables[number] for number in removed if number not in added}

    def _retire(self, table: _core.Table) -> None:
        counted = table.counters
        for name in ("filter_probes", "filter_negatives", "false_positives", "block_reads"):
            setattr(self.counters, name, getattr(self.counters, name) + counted[name])
        table.obsolete = True

    def _write_manifest(self, state: manifest.State) -> None:
        number = self.new_number()
        state = replace(state, number=number, next_file=self.next_file)
        try:
            manifest.prepare(self.directory, state)
        except BaseException:
            self._remove_if_there(manifest.manifest_name(number))
            raise
        try:
            manifest.switch(self.directory, state)
            previous, self.state = self.state, state
        except BaseException as error:
            if not (isinstance(error, StorageError) and passes(error)):
                self.store._fail(error)         # which of the two is current, only the next open can tell
            else:
                self._remove_if_there(manifest.manifest_name(number))
            raise
        if previous.number:
            self.remove_file(manifest.manifest_name(previous.number))

    def show(self) -> None:
        """Let readers and writers go on with what is current now. Without a log, the next write begins with `switch`."""
        self._put_on_show(self._view(self.version, self.tables, (self.memtable, *_newest_first(self.sealed))))

    def show_recovered(self, memtables: tuple[_core.Memtable, ...]) -> None:
        """For a database opened to read: what recovery found, and nothing to write to."""
        self._put_on_show(self._view(self.version, self.tables, memtables))

    def _view(self, version: Version, tables: dict[int, _core.Table], memtables: tuple[_core.Memtable, ...]) -> _core.View:
        """Made before the manifest is written: afterwards nothing may fail for want of memory any more."""
        levels = tuple(tuple(tables[meta.number] for meta in level) for level in version.levels)
        return self.core.View(self.directory, memtables, levels)

    def _put_on_show(self, view: _core.View) -> None:
        self.store._install(view, self.memtable, self.logs)
        self._parts = Parts(self.state, self.tables, view.memtables, self.logs)

    def let_go(self) -> None:
        """After closing: close the files of tables and logs."""
        self._parts = None
        self.tables = {}
        self.logs = ()
        self.sealed = ()
        self.memtable = self.core.Memtable()

    def _remove_if_there(self, name: str) -> None:
        """Raises nothing: it is called where an error is on its way up already, which must not be covered."""
        try:
            there = name in self.directory.list()
        except (Error, OSError) as error:
            logger.warning("could not look for %s: %s", name, str(error))
        else:
            if there:
                self.remove_file(name)

    def remove_file(self, name: str) -> None:
        """Remove a file that nothing refers to. If that fails, the next open removes it."""
        try:
            self.directory.unlink(name)
        except (Error, OSError) as error:
            logger.warning("could not remove %s: %s", name, str(error))
