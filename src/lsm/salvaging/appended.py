"""Appended: files that were being written to, the logs of a tree or the open data files of a hashlog: their whole records.

Where the rules of opening allow it, what opening would recover counts (`up_to`). Where they do not, every whole record does
(`all_whole`), those behind damage too; what is missing between them is known by its sequence numbers, not by its keys. Behind a
record that does not even say where it ends, nothing tells a record from the likeness of one in a value: what is found there is taken,
and everything is in doubt. One thread; a file at a time in memory.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from lsm.errors import VersionError
from lsm.salvaging.loss import Loss
from lsm.salvaging.source import Source
from lsm.tree.framed import Found, Framing, whole_records

HEADER_BYTES = 64
VERSION = 1


@dataclass
class Appended:
    """`take(name, record)` is given every record that counts."""

    source: Source
    core: ModuleType
    magic: bytes
    framing: Framing
    name_of: Callable[[int], str]
    take: Callable[[str, Found], None]
    losses: list[Loss] = field(default_factory=list)
    read: int = 0                       # bytes
    records: int = 0
    _expected: int = 0                  # the sequence number that comes next; 0: any
    _synced: int = 0
    _last: tuple[str, int] = ("", 0)

    def up_to(self, numbers: Sequence[int], sequence: int) -> None:
        """Of files that opening has judged, the records up to the last that it would recover."""
        for number in numbers:
            whole = self._whole(number, self.data(number) or b"")
            self._lose_unread(number, whole)
            for found in whole:
                if found.sequence + found.writes_in - 1 <= sequence:
                    self.take(self.name_of(number), found)

    def all_whole(self, numbers: Sequence[int], database_id: bytes | None, after: int | None) -> None:
        """All there is in these files, oldest first. `after`: the last write that is elsewhere, None: not known."""
        self._expected = 0 if after is None else after + 1
        for number in numbers:
            self._file(number, self.data(number), database_id)
        if self._expected and self._synced >= self._expected:
            self.lose(*self._last, 0, f"writes {self._expected} to {self._synced}, which had been synced, are missing",
                      self._synced)

    def data(self, number: int) -> bytes | None:
        found = self.source.read(self.name_of(number))
        self.read += len(found or b"")
        return found

    def _whole(self, number: int, data: bytes) -> list[Found]:
        found = list(whole_records(self.core, data, number, self.framing, HEADER_BYTES))
        self.records += len(found)
        return found

    def _file(self, number: int, data: bytes | None, database_id: bytes | None) -> None:
        path = self.source.where(self.name_of(number))
        if data is None:
            self.lose(path, 0, 0, "it is missing, or cannot be read", None)
            return
        if not self.check_header(path, data, number, database_id):
            return
        at, searched = HEADER_BYTES, False
        whole = self._whole(number, data)
        self._lose_unread(number, whole)
        for found in whole:
            if found.led:
                self._between(path, data, at, found)
                self._expected = max(self._expected, found.sequence + found.writes_in) if self._expected or not found.wrong else 0
                self._synced = max(self._synced, found.synced)
            elif found.sequence < self._expected:
                continue                                # it cannot have stood here
            elif not searched:
                searched = True
                self.lose(path, at, found.at - at, "damaged, and where it ends is not known: what was found behind it may have "
                          "stood in a value", None)
            self.take(self.name_of(number), found)
            at = found.end
        if searched:
            self._expected = 0
        self._last = path, at
        if data.count(b"\0", at) != max(len(data) - at, 0):
            self.lose(path, at, len(data) - at, "what stands behind the last whole record is torn or damaged", None)

    def _lose_unread(self, number: int, whole: list[Found]) -> None:
        """What the disk does not give back is zeros here, which is how the end of a file looks, too."""
        name = self.name_of(number)
        for start, end in sorted(self.source.unread.get(name, ())):
            if not any(found.led and found.at <= start and end <= found.end for found in whole):
                self.lose(self.source.where(name), start, end - start, "the disk does not give back these bytes", None)

    def _between(self, path: str, data: bytes, at: int, found: Found) -> None:
        """What is missing in front of a whole record, or is nonsense in it."""
        if found.wrong:
            self.lose(path, found.at, found.end - found.at, found.wrong, found.sequence + max(found.writes_in, 1) - 1)
        if self._expected and found.sequence > self._expected:
            self.lose(path, at, found.at - at, f"writes {self._expected} to {found.sequence - 1} are damaged or missing",
                      found.sequence - 1)
        elif found.at > at and data.count(b"\0", at, found.at) != found.at - at:
            if self._expected:
                self.note(path, at, found.at - at, "damaged, but no write is missing here")
            else:
                self.lose(path, at, found.at - at, "a record is damaged or missing", found.sequence - 1)

    def check_header(self, path: str, data: bytes, number: int, database_id: bytes | None, end_is_known: bool = False) -> bool:
        """May its records be taken? Not when its header, which is whole, says that it is of another place."""
        if not self._header_is_whole(data):
            if end_is_known:
                self.note(path, 0, HEADER_BYTES, "its header is missing or damaged")
            else:
                self.lose(path, 0, HEADER_BYTES, "its header is missing or damaged: where its records ended is not known", None)
            return True
        if int.from_bytes(data[12:16], "little") > VERSION:
            raise VersionError("its format is newer than this lsm reads", path)
        if int.from_bytes(data[16:24], "little") != number or database_id not in (None, data[24:40]):
            self.lose(path, 0, len(data), "it belongs to another place or another database", None)
            return False
        return True

    def identities(self, numbers: Sequence[int]) -> list[bytes]:
        """The database ids in those headers that are whole."""
        headers = [self.source.read(self.name_of(number), 0, HEADER_BYTES) or b"" for number in numbers]
        return [header[24:40] for header in headers if self._header_is_whole(header)]

    def _header_is_whole(self, data: bytes) -> bool:
        return (data[:8] == self.magic and len(data) >= HEADER_BYTES and self.core.crc32c_mask(
            self.core.crc32c(data[12:HEADER_BYTES])) == int.from_bytes(data[8:12], "little"))   # type: ignore[no-any-return]

    def lose(self, path: str, offset: int, size: int, detail: str, newest: int | None) -> None:
        self.losses.append(Loss(path, offset, size, detail, newest=newest))

    def note(self, path: str, offset: int, size: int, detail: str) -> None:
        self.losses.append(Loss(path, offset, size, detail, entries=False))
