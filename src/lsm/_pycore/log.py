"""Log: the write-ahead log of one memtable (docs/format-log.md).

    log := header record*

A write is appended here before it goes anywhere else, by one `write` of the operating system: from then on it survives
the death of this process. What has not been synced is lost with the power.

LogWriter writes. `replay_log` reads a log back, after any crash, record by record for as long as they are whole and
of consecutive sequence, and then decides what stands behind the last of them: nothing, the tear of a crash (dropped),
or damage (CorruptionError). The page has the rules by number; `_tail` is these rules.

Threads: a LogWriter is appended to under the store's write lock; `sync` may run beside that. Reading is pure.
"""
from __future__ import annotations

import contextlib
import os
import struct
from typing import Any

from lsm._pycore.coding import Malformed
from lsm._pycore.crc32c import masked_crc
from lsm._pycore.faults import discard
from lsm._pycore.key import SEQUENCE_MAX
from lsm._pycore.memtable import Memtable
from lsm._pycore.record import ALIGNMENT, HEADER_BYTES, Record, decode_entries, open_record
from lsm.errors import CorruptionError, StorageError, VersionError

MAGIC = b"lsm.log\n"
VERSION = 1
COVERED = struct.Struct("<IQ16s24x")    # of the header, what its checksum covers: version, log number, database id
LOG_HEADER = 64                         # bytes of it
SECTOR = 512                            # the smallest piece a disk writes whole
EFFORT, EFFORT_TIMES = 1 << 24, 4       # bytes that a search may sum: so many, and so many times the log's size


def encode_header(number: int, database: bytes) -> bytes:
    if len(database) != 16:
        raise ValueError(f"a database id is 16 bytes, not {len(database)}")
    covered = COVERED.pack(VERSION, number, database)
    return MAGIC + masked_crc(covered).to_bytes(4, "little") + covered


class LogWriter:
    """A new log, durable with its header and its name when this returns: a log that a manifest lists is there."""

    def __init__(self, directory: Any, number: int, database: bytes) -> None:
        header = encode_header(number, database)
        self.directory = directory
        self.number = number
        self.name = f"{number:06d}.log"
        self.synced_whole = False           # rotated away from, and durable to its end
        self._file = directory.append_to(self.name)
        try:
            self._file.append(header)
            self._file.sync()
            directory.sync()
        except BaseException:
            with contextlib.suppress(StorageError):         # what failed first is told: after a failed sync nothing may go on
                self._file.close()
            discard(directory, self.name)
            raise

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.size              # type: ignore[no-any-return]

    def append(self, record: bytes) -> None:
        """Make a record part of the log. When this raises, the log is as it was."""
        self._file.append(record)

    def sync(self) -> None:
        """Make the log durable. A failure is final: it is raised again for ever."""
        self._file.sync()


class _Reader:
    """A log in memory, and how far it has been read."""

    def __init__(self, data: bytes, name: str, number: int, path: str, sequence: int = 0) -> None:
        self.data = data
        self.name = name
        self.number = number
        self.path = path
        self.sequence = sequence            # of the last entry read
        self.synced = 0                     # the highest watermark met
        self.effort = EFFORT + EFFORT_TIMES * len(data)     # bytes that searches may still sum; 0: what they would find is not known
        self.at = 0                         # where the next record is looked for

    def damaged(self, at: int, detail: str) -> CorruptionError:
        return CorruptionError(os.path.join(self.path, self.name), at, detail)

    def check_header(self, number: int, database: bytes) -> None:
        """The checksum comes first, so that damage is never taken for a newer format."""
        data = self.data
        if len(data) < LOG_HEADER or data[:8] != MAGIC:
            raise self.damaged(0, "not a log: its header is missing or damaged")
        if int.from_bytes(data[8:12], "little") != masked_crc(data[12:LOG_HEADER]):
            raise self.damaged(8, "the checksum of the log's header is wrong")
        version, own_number, own_database = COVERED.unpack_from(data, 12)
        if version > VERSION:
            raise VersionError("format version of the log is newer than this lsm reads",
                               os.path.join(self.path, self.name))
        if version != VERSION:
            raise self.damaged(12, "the log's format version is wrong")
        if (own_number, own_database) != (number, database):
            raise self.damaged(16, "this log belongs to another place or another database")
        self.at = LOG_HEADER

    def next(self) -> Record | None:
        """The next record of the run; None where the run ends."""
        record = open_record(self.data, self.at, self.number)
        if record is None or record.sequence != self.sequence + 1 or record.entries == 0:
            return None
        self.at = record.end
        self.sequence += record.entries
        self.synced = max(self.synced, record.synced)
        return record

    def scan(self, at: int) -> Record | None:
        """The first unharmed record of this log at or after `at`, whatever its sequence; None, too, when it is given up."""
        number = (self.number & 0xFFFFFFFF).to_bytes(4, "little")
        while self.effort > 0 and at <= len(self.data) - HEADER_BYTES:
            if self.data[at + 8:at + 12] == number:
                record = open_record(self.data, at, self.number)
                if record is not None:
                    return record
                claimed = int.from_bytes(self.data[at + 4:at + 8], "little")
                if claimed <= len(self.data) - at:
                    self.effort = max(0, self.effort - claimed)
            at += ALIGNMENT
        return None

    def note_watermarks(self, at: int) -> None:
        """Raise `synced` to the highest watermark of any unharmed record from `at` on; when that cannot be told, above all."""
        record = self.scan(at)
        while record is not None:
            self.synced = max(self.synced, record.synced)
            record = self.scan(record.end)
        if self.effort == 0:
            self.synced = SEQUENCE_MAX

    def tail(self) -> bool:
        """Did the run end in a tear? What stands behind it tells; damage is raised."""
        start = self.at
        if self._is_zero(start, len(self.data)):
            return False                                        # rule 1: the end
        found = self.scan(start)
        if self.effort == 0:
            raise self.damaged(start, "a record is damaged, and too much behind it looks like records")
        if found is None:
            return True                                         # rule 2: the last write was torn
        if found.at == start:
            if start > LOG_HEADER or found.sequence <= self.sequence + 1:
                raise self.damaged(start, "records are not in sequence")        # rule 5
        elif not self._has_hole(start, found.at):
            raise self.damaged(start, "a record is damaged: unharmed records follow it")    # rule 4
        self.note_watermarks(found.at)                          # rule 3, and for rule 6
        return True

    def _is_zero(self, start: int, end: int) -> bool:
        return self.data.count(b"\0", start, end) == end - start

    def _has_hole(self, start: int, end: int) -> bool:
        """Is any disk sector's part of [start, end) all zero, as where a write never reached the disk?"""
        edges = [start, *range((start // SECTOR + 1) * SECTOR, end, SECTOR), end]
        return any(self._is_zero(first, last) for first, last in zip(edges, edges[1:]))


def replay_log(data: bytes, name: str, number: int, database: bytes, sequence: int, into: Memtable,
               path: str) -> tuple[int, int, bool, int]:
    """Add every whole batch of a log to a memtable, in order.

    `sequence` is that of the last write recovered before this log. Answers (last sequence, offset where the run ended,
    whether it ended in a tear, highest watermark in the log). Raises CorruptionError where bytes are damaged.
    """
    reader = _Reader(data, name, number, path, sequence)
    reader.check_header(number, database)
    record = reader.next()
    while record is not None:
        try:
            for sequence, (key, value) in enumerate(decode_entries(data, record), record.sequence):
                into.apply(sequence, key, value)
        except Malformed as error:
            raise reader.damaged(record.at, str(error)) from None
        record = reader.next()
    torn = reader.tail()
    return reader.sequence, reader.at, torn, reader.synced


def log_highest_watermark(data: bytes, number: int) -> int:
    """The highest watermark of any unharmed record in a log, 0 when there is none."""
    reader = _Reader(data, "", number, "")
    reader.note_watermarks(LOG_HEADER)
    return reader.synced


def check_log(data: bytes, name: str, number: int, database: bytes, path: str) -> int:
    """Check a log, all of whose bytes are given and were committed; answers how many records there are."""
    reader = _Reader(data, name, number, path)
    reader.check_header(number, database)
    first = open_record(data, reader.at, number)
    if first is not None:
        reader.sequence = first.sequence - 1        # a log begins where the one before it ended
    records = 0
    while reader.at < len(data):
        if reader.next() is None:
            raise reader.damaged(reader.at, "a record is damaged")
        records += 1
    return records
