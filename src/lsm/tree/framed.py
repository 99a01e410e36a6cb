"""Framed: the whole records of a log, those behind damage too (docs/format-log.md); and of any file that is framed like one.

A record tells by its checksum that it is whole, by the number in it that it is of this file, and by its sizes where the next one
begins. So one damaged record is stepped over, when what it says of its end is true: a whole record stands there. Otherwise the
next one is searched for at every multiple of eight. What is found so may have stood in a value: it, and all that is behind it,
is not `led` to. Pure functions.
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple


HEADER_BYTES = 40
DELETE, PUT = 0, 1
LOG_FIELDS = struct.Struct("<IIIIQQ")           # crc, payload, number, count, sequence, synced
PAYLOAD_BYTES_MAX = 1 << 30
EFFORT = 1 << 28            # bytes that may be summed for nothing in a search, beside four times the file; a hundredth in plain Python


class Found(NamedTuple):
    """A whole record: where it lies, and what it holds: (key, sequence, kind, value), or why that makes no sense."""

    at: int
    end: int
    sequence: int                   # of the first write
    writes_in: int
    synced: int
    writes: list[tuple[bytes, int, int, bytes]]
    wrong: str = ""
    inside: tuple[Found, ...] = ()  # of a batch of a data file: its records
    led: bool = True                # does the record before it, whole or damaged, say that it begins here?


class Framing(NamedTuple):
    """How the records of one kind of file are read: `opened` answers the whole record at a place, `claimed` where a damaged one
    says that it ends, 0 when it does not look like one that can be stepped over."""

    opened: Callable[[ModuleType, bytes, int, int], Found | None]
    claimed: Callable[[bytes, int, int], int]


def whole_records(core: ModuleType, data: bytes, number: int, framing: Framing, at: int) -> Iterator[Found]:
    """Every whole record from `at` on, whatever stands between; at most as many as EFFORT allows where they are searched for."""
    low = (number & 0xFFFFFFFF).to_bytes(4, "little")
    led, effort = True, (EFFORT if hasattr(core, "SimulatedDirectory") else EFFORT // 100) + 4 * len(data)
    while at <= len(data) - HEADER_BYTES and effort > 0:
        found = framing.opened(core, data, at, number)
        if found is not None:
            yield found if led else found._replace(led=False)
            at = found.end
            continue
        end = framing.claimed(data, at, number)
        if led and 0 < end <= len(data) - HEADER_BYTES and framing.opened(core, data, end, number) is not None:
            at = end
            continue
        led = False
        effort -= end - at if at < end <= len(data) else 0
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


def log_claim(data: bytes, at: int, number: int) -> int:
    """Where the damaged record of log `number` at `at` says that it ends; 0 when it is not of this log."""
    _, size, own, *_ = LOG_FIELDS.unpack_from(data, at)
    return at + padded(size) if own == number & 0xFFFFFFFF and size <= PAYLOAD_BYTES_MAX else 0


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


LOG = Framing(log_record, log_claim)
