"""HashLog: a Bitcask as a user meets it: opening, closing, and what goes through all files.

Its other half is `_core.HashStore`, which holds put, get, delete, batches and the index in C. This half opens and recovers, begins
new data files, and asks the merger for what takes long. What comes of opening and closing for any engine: lifecycle.py.

Threads: any, for every method.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar

from lsm import _core
from lsm.contract.engine import Engine
from lsm.contract.moment import Snapshot
from lsm.contract.report import Progress, Report
from lsm.contract.rows import Cursor, Rows
from lsm.contract.span import Span
from lsm.contract.traits import Traits
from lsm.engines.hashlog import inspect, manifest, recovery
from lsm.engines.hashlog.checkpoint import link_into
from lsm.engines.hashlog.datafiles import DataFiles
from lsm.engines.hashlog.inspect import HashStats
from lsm.engines.hashlog.manifest import State
from lsm.engines.hashlog.merger import Merger
from lsm.engines.hashlog.options import HashLogOptions
from lsm.errors import NotADatabaseError
from lsm.lifecycle import Lifecycle
from lsm.opening import check_arguments, check_lock_timeout, read_beside_a_writer


class HashLog(Lifecycle, _core.HashStore, Engine):     # type: ignore[misc]  # its methods are C and have shapes of their own
    """A Bitcask in a directory: files of records that are only appended to, and in memory where in them each key lies.
    Made by `lsm.open(path, engine="hashlog")`; options: HashLogOptions.

    put, get and delete cost about a microsecond, however many keys there are: one append, or one read. All keys must fit
    in memory: `stats().index_bytes` says how much they take. A scan sorts the keys first. `len` is known.

    >>> with lsm.open("fruit", engine="hashlog") as db:
    ...     db[b"apple"] = b"red"
    ...     db[b"apple"], len(db), db
    (b'red', 1, <lsm.HashLog 'fruit'>)
    """

    core: ClassVar[ModuleType] = _core
    traits: ClassVar[Traits] = Traits("hashlog", ordered=False, keys_in_memory=True, weak={
        "scan": "it copies and sorts the keys of the range before the first row, and reads each value by itself",
        "popitem": "it goes through all keys to find the smallest; so does a scan with a small limit",
    })
    _merger: Merger | None = None

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False,
                 lock_timeout: float = 0.0, block_cache: _core.BlockCache | None = None,
                 options: HashLogOptions | None = None, _directory: _core.Directory | None = None, _background: bool = True,
                 **keywords: Any) -> None:
        check_lock_timeout(lock_timeout)                    # before anything is touched
        check_arguments(_core, HashLogOptions, block_cache, options, keywords)
        self._open(path, create, read_only, lock_timeout, _directory, manifest.MARKER, manifest.foreign,
                   lambda directory: self._open_to_read(directory, block_cache, options, keywords),
                   lambda directory: self._open_to_write(directory, block_cache, options, keywords, _background))

    # ------------------------------------------------------------ opening

    def _open_to_write(self, directory: _core.Directory, cache: _core.BlockCache | None, options: HashLogOptions | None,
                       keywords: dict[str, Any], background: bool) -> None:
        names = directory.list()
        before = manifest.load(directory)
        state = before or State(database_id=os.urandom(16))
        chosen = HashLogOptions.from_keywords(options or state.options, **keywords)
        files = self._files_of(directory, replace(state, options=chosen), cache)
        files.on_disk = before
        files.next_file = max(files.next_file, manifest.highest_number(names) + 1)
        replayed = recovery.load(files)
        # whichever HASHLOG is the next, it drops the files that held nothing, and those behind a tear, where a recovery would end
        files.state = replace(files.state, open=tuple(file.number for file in files.recovered))
        if before is None:
            files.install(files.state)          # a database is there from the moment that HASHLOG is
        self._begin_hash(replayed.sequence, state.last_sequence)
        if not recovery.keep(files, replayed.sequence) and replayed.torn is not None:
            files.directory.truncate(*replayed.torn)    # or the next recovery would end there, before newer files
        if not files.recovered:
            self._begin_hash(replayed.sequence, replayed.sequence)
        recovery.tidy(files)
        self.options, self._data = chosen, files
        self._merger = Merger(files, background)

    def _open_to_read(self, directory: _core.Directory, cache: _core.BlockCache | None, options: HashLogOptions | None,
                      keywords: dict[str, Any]) -> None:
        def read() -> tuple[DataFiles, recovery.Replayed]:
            state = manifest.load(directory)
            if state is None:
                raise NotADatabaseError(self.path)
            chosen = HashLogOptions.from_keywords(options or state.options, **keywords)
            self._drop_files()
            files = self._files_of(directory, replace(state, options=chosen), cache)
            return files, recovery.load(files)

        files, replayed = read_beside_a_writer(read)
        self._begin_hash(replayed.sequence, replayed.sequence)
        self.options, self._data = files.state.options, files

    def _files_of(self, directory: _core.Directory, state: State, cache: _core.BlockCache | None) -> DataFiles:
        cache = cache if cache is not None else _core.BlockCache(state.options.block_cache_bytes)
        return DataFiles(self, directory, cache, state)

    # ------------------------------------------------------------ called back by the store

    def _rotate(self) -> None:
        self._changed(lambda: self._data.switch(self.wanted))

    def _retire_active(self) -> None:
        self._changed(self._data.retire_active)

    def _must_not_rotate(self) -> bool:
        return self._data.is_changing_here()

    def _flush_up_to(self, sequence: int) -> None:
        self._merger.wait_until_kept(self._data.recovered)      # type: ignore[union-attr]

    def _moment_closed(self) -> None:
        """Merged files that were kept for it may go; and what it kept may be older moments' to keep."""
        if self._merger is not None and (self._data.retired or _core.has_closed_moments(self)):
            self._merger.tell()

    # ------------------------------------------------------------ reading

    def scan(self, start: Any = None, stop: Any = None, **how: Any) -> Iterator[Any]:      # type: ignore[override]
        """Iterate over a range in the order of the keys, as of this moment: see Engine.scan. Cost: the keys of the range are
        copied and sorted before the first row, about a microsecond each, 40 bytes of memory beside the key; then each value
        is a read. With a `limit` of up to 1,024 all keys are looked at, but only that many copied and sorted. Until it is used
        up, closed or dropped it keeps the files it began with.

        >>> with lsm.open("letters", engine="hashlog") as db:
        ...     db.update({b"b": b"2", b"a": b"1"})
        ...     list(db.scan())
        [(b'a', b'1'), (b'b', b'2')]
        """
        span = Span.of(start, stop, **how)
        return Rows(_core.HashMoment(self), span, self._check_open)

    def cursor(self) -> Cursor:     # type: ignore[override]
        """A cursor over the rows of this moment. It stands nowhere at first: move it. Cost: the first two moves sort keys."""
        return Cursor(_core.HashMoment(self), self._check_open)

    def snapshot(self) -> Snapshot:     # type: ignore[override]
        """The database as it is now, until it is closed. Cost: nothing to take. While it is open, of each key that is
        overwritten where it lay is kept in memory; and the files it can see stay on disk, also when they are merged."""
        return Snapshot(_core.HashMoment(self), self._check_open, lambda: self.closed)

    # ------------------------------------------------------------ all files

    def flush(self) -> None:
        """Make the file that is written to one for keeping, with its hint. When it returns, everything written before is
        durable. Not needed for durability: `sync` is cheaper. Raises StorageError, ReadOnlyError, ClosedError."""
        if self._gate & ~_core.GATE_SLOW_FLAG:
            self._refuse()
        self._rotate_now()
        self._merger.wait_until_kept((*self._data.recovered, *self._data.written))      # type: ignore[union-attr]

    def compact(self) -> None:
        """Flush, then merge all files: one record a key, nothing deleted left. Cost: reads and writes everything, unless
        nothing is to be gained; needs as much free space as the data takes. Ctrl-C ends the waiting, not the work. Raises as
        `flush`, and CorruptionError."""
        self.flush()
        self._merger.compact()          # type: ignore[union-attr]

    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """A copy of the database as it is now, at `path` (new or empty, on the same file system), that can be opened at once.
        Cost: a flush, after the merge under way if there is one, and two hard links a file; the copy shares their bytes, so it
        guards against mistakes, not against the disk. Raises NotADatabaseError when `path` holds anything, else as `flush`."""
        if self._gate & ~_core.GATE_SLOW_FLAG:
            self._refuse()
        with self._merger.without_merges():     # type: ignore[union-attr]  # it would leave out what is overwritten now
            self.flush()
            self._uninterrupted(lambda: link_into(self._directory_beside(path), self._data))

    def _directory_beside(self, path: str | os.PathLike[str]) -> _core.Directory:
        return _core.Directory(path, create=True)

    def verify(self, *, progress: Progress | None = None) -> Report:
        """Read and check every byte of every file. Answers a Report; it is true when nothing is damaged. Damage is reported,
        not raised; StorageError and ClosedError are raised. `progress` is called after each file with the bytes read so far.
        Cost: reads everything; reading and writing go on beside it."""
        self._check_open()
        return inspect.verify(self._data, self._check_open, self.read_only, progress)

    def stats(self) -> HashStats:
        """What the database holds and what it has done since it was opened, the memory of the index above all."""
        self._check_open()
        return inspect.stats(self._data, self, self._merger)

    # ------------------------------------------------------------ closing

    def _background(self) -> Merger | None:
        return self._merger

    def _settle(self) -> None:
        files = self._data
        recovery.keep(files, self._recovered)
        files.settle()

    def _let_go(self, ended: bool) -> None:
        if self._gate & _core.GATE_FORKED_FLAG or not ended:
            return                              # the merger, or a thread of the parent's, may be using it
        self._drop_files()
        self._data.let_go()
