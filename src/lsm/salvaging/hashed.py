"""Hashed: all rows of a damaged hashlog: of each key the newest record that is whole, in whatever data file.

Its data files tell all by themselves: each record its key, sequence and checksum. A hint that is whole tells which key a damaged
record had. Every record keeps its sequence for good, so which is newest is never in doubt; without HASHLOG only this is, whether a
file had been merged away and was still there.

`Hashed` reads everything, `rows` the values again. One thread; memory for one file, and for all keys, as the engine needs.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from lsm._pycore.key import DELETE
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.database import HashLog
from lsm.engines.hashlog.framed import DATA, data_record, hint_says
from lsm.errors import CorruptionError, Error
from lsm.salvaging.appended import HEADER_BYTES, Appended
from lsm.salvaging.loss import Doubt, Loss
from lsm.salvaging.source import Source
from lsm.salvaging.state import UNKNOWN, commonest
from lsm.tree.framed import HEADER_BYTES as RECORD_BYTES
from lsm.tree.framed import Found, gaps, whole_records

Row = tuple[bytes, bytes]


def data_name(number: int) -> str:
    return f"{number:06d}.data"


class Hashed:
    """What of it can be read: `losses`, `notes`, counts of what was read; `rows`."""

    def __init__(self, source: Source, core: ModuleType) -> None:
        self.source = source
        self.core = core
        self.losses: list[Loss] = []
        self.notes: list[str] = []
        self.options: dict[str, Any] = {}
        self.written = Appended(source, core, b"lsm.data", DATA, data_name, self._take)
        self.newest: dict[bytes, tuple[int, int, str, int, int]] = {}     # sequence, kind, file, where in it and how much to read
        self.files = 1
        state = self._state()
        if state is None:
            self._take_what_there_is()
        else:
            self.options = {"file_bytes": state.options.file_bytes, "merge_dead_ratio": state.options.merge_dead_ratio}
            for meta in state.files:
                self._kept(meta, state.database_id)
            self._open(state)
            self.files += len(state.files) + len(state.open)
        self.losses += self.written.losses
        self.blocks, self.bytes = self.written.records, self.written.read

    def _state(self) -> manifest.State | None:
        path = self.source.where(manifest.MARKER)
        data = self.source.read(manifest.MARKER)
        try:
            if data is None:
                raise CorruptionError(path, 0, "it is missing, or cannot be read")
            return manifest.decode(data, path)
        except CorruptionError as error:
            self.losses.append(Loss(path, error.offset, len(data or b""), f"{error.detail}; {UNKNOWN}"))
            return None

    def _take(self, name: str, record: Found) -> None:
        for each in record.inside or (record,):
            for key, sequence, kind, _ in each.writes:
                if key not in self.newest or self.newest[key][0] < sequence:
                    self.newest[key] = sequence, kind, name, each.at, each.end - each.at

    # ------------------------------------------------------------ files

    def _kept(self, meta: manifest.FileMeta, database_id: bytes) -> None:
        """A file made for keeping: what is not whole in it is lost."""
        name, written = data_name(meta.number), self.written
        path = self.source.where(name)
        data = written.data(meta.number)
        if data is None:
            self._lose_all(path, meta, self._hint(meta, database_id))
            return
        if not written.check_header(path, data, meta.number, database_id, end_is_known=True):
            return
        if len(data) != meta.size:
            written.note(path, min(len(data), meta.size), 0, f"the file has {len(data)} bytes, and should have {meta.size}")
        hint = self._hint(meta, database_id)
        if hint is None:
            self._by_its_records(path, name, data[:meta.size], meta)
        else:
            self._by_its_hint(path, name, data[:meta.size], meta, hint)

    def _lose_all(self, path: str, meta: manifest.FileMeta, hint: list[tuple[int, int, bytes]] | None) -> None:
        detail = "the data file is missing, or cannot be read"
        if hint is None:
            self.losses.append(Loss(path, 0, meta.size, detail, newest=meta.max_sequence))
        else:
            self.losses += [Loss(path, offset, 0, detail, key, key, sequence) for offset, sequence, key in hint]

    def _by_its_hint(self, path: str, name: str, data: bytes, meta: manifest.FileMeta, hint: list[tuple[int, int, bytes]]) -> None:
        """The hint says where each record begins: nothing else is taken for one."""
        lost = len(self.losses)
        for offset, sequence, key in hint:
            found = data_record(self.core, data, offset, meta.number) if offset <= len(data) - RECORD_BYTES else None
            if found is not None and [write[:2] for write in found.writes] == [(key, sequence)]:
                self._take(name, found)
                self.written.records += 1
            else:
                self.losses.append(Loss(path, offset, 0, "a record is damaged or missing", key, key, sequence))
        if lost == len(self.losses):
            whole = list(whole_records(self.core, data, meta.number, DATA, HEADER_BYTES))
            for start, end in gaps(whole, HEADER_BYTES, meta.size):
                self.written.note(path, start, end - start, "damaged, but no write is missing here")

    def _by_its_records(self, path: str, name: str, data: bytes, meta: manifest.FileMeta) -> None:
        """Without a hint which key a damaged record had is not known."""
        whole = list(whole_records(self.core, data, meta.number, DATA, HEADER_BYTES))
        newest = meta.max_sequence if all(found.led for found in whole) else None   # what was searched for may have stood in a value
        for found in whole:
            self._take(name, found)
        self.written.records += len(whole)
        missing = newest is None or sum(len(found.writes) for found in whole) != meta.records
        for start, end in gaps([found for found in whole if not found.wrong], HEADER_BYTES, meta.size):
            if missing:
                self.losses.append(Loss(path, start, end - start, "a record is damaged or missing", newest=newest))
            else:
                self.written.note(path, start, end - start, "damaged, but no write is missing here")

    def _hint(self, meta: manifest.FileMeta, database_id: bytes) -> list[tuple[int, int, bytes]] | None:
        """(offset, sequence, key) of each record of a file, or None when its hint is of no use."""
        name = f"{meta.number:06d}.hint"
        data = self.source.read(name) or b""
        self.written.read += len(data)
        found = hint_says(self.core, data, meta.number, database_id, meta.size)
        if found is None:
            self.written.note(self.source.where(name), 0, len(data), "the hint is missing or damaged: opening takes longer")
        return found

    def _open(self, state: manifest.State) -> None:
        """The files that were being written to: what opening would recover, or all that is whole."""
        if not state.open:
            return
        try:
            with HashLog(self.source.path, create=False, read_only=True) as db:
                sequence = db._sequence
        except (Error, OSError):
            self.written.all_whole(state.open, state.database_id, state.last_sequence)
        else:
            self.written.up_to(state.open, sequence)
            self._note_tears(state.open)

    def _note_tears(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            data = self.source.read(data_name(number)) or b""
            at = max((found.end for found in whole_records(self.core, data, number, DATA, HEADER_BYTES)), default=HEADER_BYTES)
            if data.count(b"\0", at) != max(len(data) - at, 0):
                self.notes.append(f"{self.source.where(data_name(number))}: a write torn at byte {at} was left out, as opening "
                                  "leaves it out")

    def _take_what_there_is(self) -> None:
        numbers = sorted(file[0] for file in map(manifest.numbered, self.source.names) if file is not None and file[1] == "data")
        self.written.all_whole(numbers, commonest(self.written.identities(numbers)), None)
        self.files += len(numbers)

    # ------------------------------------------------------------ rows

    def rows(self, doubt: Doubt, doubtful: bool) -> Iterator[Row]:
        """The newest of each key that is no deletion, in the order of the keys; without `doubtful` none that may be stale."""
        for key in sorted(self.newest):
            sequence, kind, name, at, size = self.newest[key]
            if kind != DELETE and (not doubt.about(key, sequence, 0) or doubtful):
                yield key, self._value(name, at, size, key, sequence)

    def _value(self, name: str, at: int, size: int, key: bytes, sequence: int) -> bytes:
        data = self.source.read(name, at, size) or b""
        number = int(name.partition(".")[0])
        found = data_record(self.core, data, 0, number) if len(data) == size else None
        if found is not None and [write[:2] for write in found.writes] == [(key, sequence)]:
            return found.writes[0][3]
        raise CorruptionError(self.source.where(name), at, "a record that was whole is not so any more")
