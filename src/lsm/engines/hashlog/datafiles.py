"""DataFiles: what a hashlog is made of now, and the one way to change it.

The parts: the files made for keeping, which are only read; those that were written to and are not yet made for keeping, oldest
first; the active one. `install` makes the next HASHLOG durable, then shows the files to readers in one step.

Invariants
- HASHLOG names every file that has a record that counts; the active one is in it before its first record is acknowledged.
- Files are made for keeping in the order they were written, so `last_sequence` is the end of a run without a hole.
- A file leaves the disk when HASHLOG does not name it any more and its last holder lets it go. Open moments hold the files that
  were there when they were taken: `retired` has them until these moments are gone.

Owner: the database owns this; this refers to the database (its HashStore half) weakly.
Threads: `lock` guards every change. A writer that rotates holds the write lock and takes this one after it. The main thread never
holds it itself (`Gate._uninterrupted`), as a signal handler may wait for who wants it.
"""
from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lsm import _core
from lsm.background import Dropped, passes
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.manifest import FileMeta, State
from lsm.errors import CorruptionError, StorageError

FILE_BYTES_LIMIT = 1 << 32


@dataclass
class Counters:
    """What has been done since the database was opened."""

    closed: int = 0                     # files made for keeping
    merges: int = 0
    bytes_merged_in: int = 0
    bytes_merged_out: int = 0


class DataFiles:
    def __init__(self, store: _core.HashStore, directory: _core.Directory, cache: _core.BlockCache, state: State) -> None:
        self._store = weakref.ref(store)
        self.directory = directory
        self.cache = cache
        self.state = state
        self.on_disk: State | None = None                       # what HASHLOG says; opening may find no room for the state yet
        self.next_file = state.next_file
        self.kept: dict[int, _core.DataFile] = {}               # by number: what the state's `files` are
        self.recovered: tuple[_core.DataFile, ...] = ()         # of an earlier process, not yet made for keeping
        self.written: tuple[_core.DataFile, ...] = ()           # of this one
        self.active: _core.DataFile | None = None
        self.retired: list[tuple[int, dict[int, _core.DataFile]]] = []      # (newest moment that may need them, files)
        self.counters = Counters()
        self.installed = 0                                      # how often HASHLOG was made anew since
        self.lock = threading.RLock()

    @property
    def store(self) -> _core.HashStore:
        store = self._store()
        if store is None:
            raise Dropped("the database was dropped while work on it was under way")
        return store

    def is_changing_here(self) -> bool:
        """Is this thread in the middle of a change? What a finalizer or handler does from there must not begin another."""
        return self.lock._is_owned()            # type: ignore[attr-defined, no-any-return, unused-ignore]

    def new_number(self) -> int:
        """A number no file of this database ever had."""
        with self.lock:
            number = self.next_file
            if number > manifest.NUMBER_MAX:
                raise StorageError(errno.EOVERFLOW, "all numbers of files are used up: copy the database with `lsm convert`",
                                   self.directory.path)
            self.next_file += 1
            return number

    def open_file(self, number: int, size: int) -> _core.DataFile:
        """A file that HASHLOG names, of which so many bytes count."""
        name = _core.data_file_name(number)
        try:
            return _core.DataFile(self.directory, self.cache, number, self.state.database_id, size=size)
        except FileNotFoundError as error:
            raise CorruptionError(os.path.join(self.directory.path, name), 0,
                                  f"the data file is missing although {manifest.MARKER} names it") from error

    def image(self, file: _core.DataFile, size: int) -> bytes:
        """The bytes of a file, as many as count."""
        data = self.directory.read(file.name, limit=FILE_BYTES_LIMIT)
        if len(data) < size:
            raise CorruptionError(os.path.join(self.directory.path, file.name), len(data),
                                  f"the file ends here, and has to have {size} bytes")
        return data[:size] if len(data) > size else data

    # ------------------------------------------------------------ the active file

    def switch(self, wanted: int) -> None:
        """Begin another data file, with room for a write of so many bytes. The caller holds the write lock. When this raises,
        nothing has changed, but that HASHLOG may name a file without records; or the store takes no more writes."""
        if self.store._sequence > manifest.SEQUENCE_MAX - (1 << 32):        # more than a file can hold
            raise StorageError(errno.EOVERFLOW, "all numbers of writes are used up: copy the database with `lsm convert`",
                               self.directory.path)
        with self.lock:
            capacity = max(self.state.options.file_bytes, _core.LOG_HEADER + wanted)
            file = _core.DataFile(self.directory, self.cache, self.new_number(), self.state.database_id, capacity=capacity)
            empty = self.active is not None and self.active.size == _core.LOG_HEADER
            numbers = tuple(n for n in self.state.open if not (empty and n == self.active.number))     # type: ignore[union-attr]
            try:
                self._write_manifest(replace(self.state, open=(*numbers, file.number)))
            except BaseException:
                file.obsolete = self.store._failure is None     # no HASHLOG names it, nor ever will
                raise
            if empty:
                with self._decided():
                    self._go_on_with(file)
            else:
                self._go_on_with(file)

    def retire_active(self) -> None:
        """Go on without an active file: the next write makes one. The caller holds the write lock, or is alone. When this raises,
        nothing has changed."""
        with self.lock:
            self._go_on_with(None)

    def _go_on_with(self, file: _core.DataFile | None) -> None:
        before, written = self.active, self.written
        if before is not None and before.size > _core.LOG_HEADER:
            self.written = (*written, before)
        self.active = file
        try:
            self.show()
        except BaseException:
            self.active, self.written = before, written
            raise
        if before is not None and before.number not in self.state.open:
            before.obsolete = True              # it held nothing

    @contextmanager
    def _decided(self) -> Iterator[None]:
        """HASHLOG says so already: what raises from here on leaves memory apart from it, and nothing may be written any more."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Dropped):
                self.store._fail(error)
            raise

    def settle(self) -> None:
        """At close, with nobody else at work: make all that was written one for keeping. While what was recovered is not, for
        lack of room, nothing newer may be: then all is left to the next open, as after a crash, but synced."""
        last = self.active
        self.retire_active()
        if self.recovered:
            self.store._sync_logs()
            return
        while self.written:
            self.close_oldest()
        with self.lock:
            if self.state.open:
                self._write_manifest(replace(self.state, open=()))     # it held no record
                if last is not None and last.size == _core.LOG_HEADER:
                    last.obsolete = True

    def close_oldest(self) -> None:
        """Make the oldest file that was written to one for keeping: sync it, write its hint, name it."""
        if self.recovered:
            raise AssertionError("files are made for keeping in the order they were written")
        file = self.written[0]
        size = file.size
        file.finish(self.store)
        hint, records, _, least, highest = _core.hint_of(self.image(file, size), file.number, self.state.database_id,
                                                         self.directory.path)
        self._make_hint(file.number, hint)
        self.directory.sync()
        meta = FileMeta(file.number, size, records, least, highest)
        again = file.opened_again()
        with self.lock:
            self._write_manifest(self._with(files=(*self.state.files, meta), without=[file.number],
                                            last_sequence=max(self.state.last_sequence, highest)))
            with self._decided():
                self.written = self.written[1:]
                self.kept = {**self.kept, file.number: again}
                self.show()
        self.counters.closed += 1

    def _make_hint(self, number: int, hint: bytes) -> None:
        name = _core.hint_file_name(number)
        if name in self.directory.list():
            self.directory.unlink(name)
        self.directory.create(name, hint)

    # ------------------------------------------------------------ installation

    def _with(self, files: Iterable[FileMeta], without: Iterable[int] = (), **changed: int) -> State:
        gone = set(without)
        return replace(self.state, files=tuple(sorted(files, key=lambda meta: meta.number)),
                       open=tuple(number for number in self.state.open if number not in gone), **changed)   # type: ignore[arg-type]

    def install(self, state: State) -> None:
        """For a database that is being opened: make this the state, durably."""
        with self.lock:
            self._write_manifest(state)

    def _write_manifest(self, state: State) -> None:
        state = replace(state, next_file=self.next_file)
        manifest.prepare(self.directory, state)
        try:
            manifest.switch(self.directory)
        except BaseException as error:
            if not (isinstance(error, StorageError) and passes(error)):
                self.store._fail(error)         # which of the two is current, only the next open can tell
            raise
        self.state = self.on_disk = state
        self.installed += 1

    def replace_files(self, inputs: list[_core.DataFile], outputs: list[tuple[FileMeta, _core.DataFile, bytes]],
                      last_sequence: int) -> None:
        """The outputs of a merge take the place of its inputs: on disk, then for readers, without a pause."""
        gone = {file.number for file in inputs}
        with self.lock:
            kept = [meta for meta in self.state.files if meta.number not in gone]
            self._write_manifest(self._with(files=[*kept, *(meta for meta, _, _ in outputs)], without=gone,
                                            last_sequence=max(last_sequence, self.state.last_sequence)))
        with self._decided():
            self._take_over(inputs, outputs, gone)

    def _take_over(self, inputs: list[_core.DataFile], outputs: list[tuple[FileMeta, _core.DataFile, bytes]],
                   gone: set[int]) -> None:
        with self.lock:
            self.kept = {**self.kept, **{file.number: file for _, file, _ in outputs}}
            self.show()
        for _, file, hint in outputs:
            self.store._relocate(hint, file)
        with self.lock:
            self.kept = {number: file for number, file in self.kept.items() if number not in gone}
            self.recovered = tuple(file for file in self.recovered if file.number not in gone)
            newest = _core.newest_moment(self.store)
            if newest:
                self.retired.append((newest, {file.number: file for file in inputs}))
            for file in inputs:
                file.obsolete = True
            self.show()

    def show(self) -> None:
        """Let readers and writers go on with what is current now."""
        oldest = _core.oldest_moment(self.store)
        self.retired = [(moment, files) for moment, files in self.retired if oldest and oldest <= moment]
        files = dict(self.kept)
        for _, older in self.retired:
            files.update(older)
        logs = (*self.written, *((self.active,) if self.active is not None else ()))
        files.update((file.number, file) for file in (*self.recovered, *logs))
        self.store._show_files(files, logs, self.active)

    def has_retired(self) -> bool:
        """Are there files that no moment needs any more?"""
        oldest = _core.oldest_moment(self.store)
        return any(not oldest or oldest > moment for moment, _ in self.retired)

    def let_go(self) -> None:
        """After closing."""
        self.kept, self.recovered, self.written, self.active, self.retired = {}, (), (), None, []
