"""Log: the entries of one log file, in the order of writing.

The core judges it first: which records are whole and follow each other, and whether what stands behind the last of them
is the end, a tear or damage (docs/format-log.md). Then the records it found good are walked over here. The whole log is in
memory: it is about as large as a memtable. One thread.
"""
from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator

from lsm._chosen import core
from lsm.errors import CorruptionError

RECORD = struct.Struct("<4xI4xIQ")          # payload size, count of entries, sequence; behind it watermark and time
RECORD_HEADER = 40
DELETE = 0

logger = logging.getLogger("lsm")


def log_entries(data: bytes, path: str) -> Iterator[tuple[bytes, bytes | None, int]]:
    """(key, value or None, sequence number) of each entry. Raises CorruptionError after all that comes before the damage."""
    end, damage = _judge(data, path)
    yield from _walk(data, end)
    if damage is not None:
        raise damage


def _judge(data: bytes, path: str) -> tuple[int, CorruptionError | None]:
    """Where the run of whole records ends, and the damage that ends it, if any."""
    directory, name = os.path.split(path)
    number, database = struct.unpack_from("<Q16s", data.ljust(core.LOG_HEADER, b"\0"), 16)
    try:
        last, end, torn, synced = core.replay_log(data, name, number, database, _before(data), core.Memtable(), directory or ".")
    except CorruptionError as error:
        return error.offset, error
    if synced > last:
        return end, CorruptionError(path, end, f"writes up to {synced} had been synced to disk, but none after {last} is there")
    if torn:
        logger.warning("%s: a write was torn at byte %d, by a crash or while this was read: it is left out", path, end)
    return end, None


def _before(data: bytes) -> int:
    """The sequence number before that of the first record, whatever stands there: a log begins where another one ended."""
    first = int.from_bytes(data[core.LOG_HEADER + 16:core.LOG_HEADER + 24], "little")
    return min(max(first - 1, 0), (1 << 56) - 1)


def _walk(data: bytes, end: int) -> Iterator[tuple[bytes, bytes | None, int]]:
    """The entries of records that are known to be whole."""
    at = core.LOG_HEADER
    while at < end:
        size, count, sequence = RECORD.unpack_from(data, at)
        entry = at + RECORD_HEADER
        for number in range(sequence, sequence + count):
            kind = data[entry]
            key_size, entry = _varint(data, entry + 1)
            value_size, entry = (0, entry) if kind == DELETE else _varint(data, entry)
            key, entry = data[entry:entry + key_size], entry + key_size
            yield key, None if kind == DELETE else data[entry:entry + value_size], number
            entry += value_size
        at += (RECORD_HEADER + size + 7) // 8 * 8


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, what follows it)."""
    number = shift = 0
    while data[at] > 127:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1
