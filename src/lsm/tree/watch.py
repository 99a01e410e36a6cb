"""Watch: what can be told of a tree from its files alone, while another process writes in it.

Each look reads CURRENT, the manifest it names, the names and sizes in the directory, and the newest records of the logs.
Nothing is locked, changed or kept open, and no log is replayed: a look costs a few megabytes of reading, however large the
database is. The manifest tells of tables and levels; the numbers in the logs' records tell how many writes there were, and
up to which one they are known to be on disk; a table that no manifest names (yet) is being written. What only the memory
of the writing process has (gets, the cache, stalls) cannot be seen from here.

One thread a Watch.
"""
from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass

from lsm._chosen import core
from lsm.errors import CorruptionError, NotADatabaseError, StorageError
from lsm.tree import manifest, recovery
from lsm.tree.files import log_name, numbered, table_name
from lsm.tree.framed import HEADER_BYTES, LOG, LOG_FIELDS, PAYLOAD_BYTES_MAX, log_record, padded, whole_records
from lsm.tree.version import TableMeta

TRIES = 20                  # the writer may replace what is just about to be read
WRITTEN, WRITTEN_AT = struct.Struct("<Q"), 32           # of a record: when it was made (docs/format-log.md)
NEAR_BYTES = 4 << 20        # what is made ready behind the last record (docs/storage.md), and as much again


@dataclass(frozen=True)
class LogSeen:
    """A log up to its last whole record."""

    number: int
    bytes: int
    writes: int
    sequence: int           # of the last of them; 0 when there is none
    synced: int             # writes up to this one were known to be on disk when the last was made
    written: int            # when the last was made: microseconds since 1970; 0 when there is none


@dataclass(frozen=True)
class Look:
    """The files at one moment."""

    state: manifest.State
    logs: tuple[LogSeen, ...]               # one a memtable: oldest first, the last is being written
    unnamed: tuple[tuple[int, int], ...]    # (number, bytes) of tables that are being written, as far as can be told

    @property
    def sequence(self) -> int:
        """Of the last write."""
        return max([self.state.last_sequence, *(log.sequence for log in self.logs)])

    @property
    def synced(self) -> int:
        """Up to this write all were known to be on disk when the last one was made."""
        return max([self.state.last_sequence, *(log.synced for log in self.logs)])


@dataclass(frozen=True)
class Change:
    """What was seen to happen between two looks. What began and ended between them is not in it."""

    flushed: tuple[TableMeta, ...]          # tables of what had been in memory
    merged: tuple[TableMeta, ...]           # tables that compactions made
    gone: tuple[TableMeta, ...]             # tables that were merged into others, or dropped
    moved: tuple[tuple[TableMeta, int], ...]    # tables that went to another level as they are, and that level


def change(before: Look, after: Look) -> Change:
    """What happened from one look to the next."""
    old = {meta.number: (level, meta) for level, metas in enumerate(before.state.version.levels) for meta in metas}
    new = {meta.number: (level, meta) for level, metas in enumerate(after.state.version.levels) for meta in metas}
    made = [meta for number, (_, meta) in new.items() if number not in old]
    fresh = [meta for meta in made if meta.min_sequence > before.state.last_sequence]   # nothing of it was in a table before
    return Change(
        flushed=tuple(fresh), merged=tuple(meta for meta in made if meta not in fresh),
        gone=tuple(meta for number, (_, meta) in old.items() if number not in new),
        moved=tuple((meta, level) for number, (level, meta) in new.items() if number in old and old[number][0] != level))


class Watch:
    """Looks at the tree in a directory, again and again."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._ends: dict[int, _End] = {}
        self._named: set[int] = set()       # tables that a manifest has named: unnamed now, they wait to be removed

    def look(self) -> Look:
        """The files as they are now. Raises NotADatabaseError, CorruptionError, StorageError."""
        for tries_left in reversed(range(TRIES)):
            try:
                return self._look()
            except NotADatabaseError:
                raise
            except (CorruptionError, StorageError, FileNotFoundError):
                if not tries_left:
                    raise
                time.sleep(0.01)
        raise AssertionError("not reached")

    def _look(self) -> Look:
        try:
            directory = core.Directory(self.path, read_only=True)
        except (FileNotFoundError, NotADirectoryError):
            raise NotADatabaseError(self.path) from None
        with directory:
            names = directory.list()        # before the manifest: a table that is finished meanwhile is then named
            state = manifest.load(directory)
        if state is None:
            raise NotADatabaseError(self.path)
        logs = tuple(self._log(number, state) for number in state.logs)
        self._ends = {number: self._ends[number] for number in state.logs}
        return Look(state, logs, self._unnamed(names, state))

    def _log(self, number: int, state: manifest.State) -> LogSeen:
        end = self._ends.setdefault(number, _End(number))
        path = os.path.join(self.path, log_name(number))
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                end.advance(file)
            finally:
                os.close(file)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(error.errno, f"reading: {error.strerror}", path) from error
        return LogSeen(number, end.at, end.sequence - end.before, end.sequence, end.synced, end.written)

    def _unnamed(self, names: list[str], state: manifest.State) -> tuple[tuple[int, int], ...]:
        self._named |= {meta.number for meta in state.version.tables()}
        found = []
        for name in names:
            file = numbered(name)
            if file is not None and file[1] == "table" and file[0] not in self._named:
                try:
                    found.append((file[0], os.stat(os.path.join(self.path, table_name(file[0]))).st_size))
                except FileNotFoundError:
                    pass                    # given up meanwhile
        return tuple(sorted(found))


class _End:
    """The last whole record of a log that grows: found again from where it was, or near the end of the file."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.at = core.LOG_HEADER           # behind the last whole record
        self.before = 0                     # sequence of the last write before this log
        self.sequence = self.synced = self.written = 0

    def advance(self, descriptor: int) -> None:
        """To the last record there is now."""
        if not self.sequence:
            first = os.pread(descriptor, HEADER_BYTES, core.LOG_HEADER)
            self.before = max(0, LOG_FIELDS.unpack_from(first)[4] - 1) if len(first) == HEADER_BYTES else 0
        self._advance(descriptor)
        if not self.sequence:
            self.before = 0                 # what stood there was not whole

    def _advance(self, descriptor: int) -> None:
        size, near = min(os.fstat(descriptor).st_size, recovery.LOG_BYTES_MAX), NEAR_BYTES
        while size - near > self.at:
            start = (size - near) // 8 * 8
            data = os.pread(descriptor, near + 8, start)
            found = next(whole_records(core, data, self.number, LOG, 0), None)
            if found is not None:
                return self._walk(data[found.at:], start + found.at)
            if near >= PAYLOAD_BYTES_MAX:
                return                      # no record is longer than that
            near *= 4
        self._walk(os.pread(descriptor, size - self.at, self.at), self.at)

    def _walk(self, data: bytes, start: int) -> None:
        """Over the records of `data`, of which the last may be in the middle of being written."""
        at, records, expected = 0, [], None
        while at + HEADER_BYTES <= len(data):
            _, size, number, count, sequence, synced = LOG_FIELDS.unpack_from(data, at)
            if (number != self.number & 0xFFFFFFFF or not count or expected not in (None, sequence)
                    or size > len(data) - at - HEADER_BYTES):
                break
            records.append(at)
            at, expected = at + padded(size), sequence + count
        while records:
            found = log_record(core, data, records.pop(), self.number)
            if found is not None:
                self.sequence = found.sequence + found.writes_in - 1
                self.synced = max(self.synced, found.synced)
                self.written = WRITTEN.unpack_from(data, found.at + WRITTEN_AT)[0]
                self.at = start + found.end
                return
