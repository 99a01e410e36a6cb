"""Framed: the whole records of a log, those behind damage too (docs/format-log.md); and of any file that is framed like one.

A record tells by its checksum that it is whole, and by the number in it that it is of this file; records begin at multiples of
eight. So behind damage the next whole one is found by looking at every eighth byte. Pure functions.
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple


HEADER_BYTES = 40
DELETE, PUT = 0, 1
LOG_FIELDS = struct.Struct("<IIIIQQ")           # crc, payload, number, count, sequence, synced
PAYLOAD_BYTES_MAX = 1 << 30


class Found(NamedTuple):
    """A whole record: where it lies, and what it holds: (key, sequence, kind, value), or why that makes no sense."""

    at: int
    end: int
    sequence: int                   # of the first write
    writes_in: int
    synced: int
    writes: list[tuple[bytes, int, int, bytes]]
    wrong: str = ""
    inside: tuple[Any, ...] = ()    # of a batch of a data file: its records, each a Found


Opened = Callable[[ModuleType, bytes, int, int], "Found | None"]


def whole_records(core: ModuleType, data: bytes, number: int, opened: Opened, at: int) -> Iterator[Found]:
    """Every whole record from `at` on, whatever stands between."""
    low = (number & 0xFFFFFFFF).to_bytes(4, "little")
    while at <= len(data) - HEADER_BYTES:
        found = opened(core, data, at, number)
        if found is not None:
            yield found
            at = found.end
        else:
            at = _next_place(data, low, at + 8)


def _next_place(data: bytes, low: bytes, at: int) -> int:
    """The next multiple of eight, from `at` on, where a record of this file could begin."""
    place = data.find(low, at + 8)
    while place >= 0 and place % 8:
        place = data.find(low, place + 1)
    return place - 8 if place >= 0 else len(data)


def gaps(found: list[Found], start: int, end: int) -> list[tuple[int, int]]:
    """(from, to) of each stretch between `start` and `end` that is in no whole record."""
    edges = [(start, start), *((record.at, record.end) for record in found), (end, end)]
    return [(before[1], after[0]) for before, after in zip(edges, edges[1:]) if after[0] > before[1]]


def padded(size: int) -> int:
    return (HEADER_BYTES + size + 7) // 8 * 8


def sealed(core: ModuleType, data: bytes, at: int, end: int, crc: int) -> bool:
    return end <= len(data) and core.crc32c_mask(core.crc32c(data[at + 4:end])) == crc      # type: ignore[no-any-return]


def log_record(core: ModuleType, data: bytes, at: int, number: int) -> Found | None:
    """The record of log `number` at `at`, if there is a whole one."""
    from lsm._pycore.coding import Malformed            # not needed before something is damaged
    from lsm._pycore.record import Record, decode_entries

    crc, size, own, count, sequence, synced = LOG_FIELDS.unpack_from(data, at)
    end = at + padded(size)
    if own != number & 0xFFFFFFFF or size > PAYLOAD_BYTES_MAX or not sealed(core, data, at, end, crc):
        return None
    try:
        entries = list(decode_entries(data, Record(at, end, size, count, sequence, synced)))
    except Malformed as error:
        return Found(at, end, sequence, count, synced, [], str(error))
    return Found(at, end, sequence, count, synced,
                 [(key, sequence + i, DELETE if value is None else PUT, value or b"") for i, (key, value) in enumerate(entries)])
