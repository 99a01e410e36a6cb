"""Framed: the whole records of a data file, those behind damage too, and what a hint says of them (docs/format-hashlog.md).

A record within a batch is looked at by itself only where its batch is damaged, or where a hint says that one is. For who looks
at a damaged file; the engine itself reads in C. Pure functions.
"""
from __future__ import annotations

import struct
from types import ModuleType

from lsm.contract.arguments import VALUE_BYTES_MAX
from lsm.tree.framed import HEADER_BYTES, Found, Framing, padded, sealed

FIELDS = struct.Struct("<IIIHBBQQI")        # crc, value, number, key, kind, place, sequence, synced, count
HINT_ENTRY = struct.Struct("<QIIH")         # tag, offset in units of eight, value size, key size
HINT_HEADER_BYTES = 64
PLACE_AT = 15
PUT, BATCH = 1, 2
BATCH_BYTES_MAX = 0x7FFFFFF8


def data_record(core: ModuleType, data: bytes, at: int, number: int) -> Found | None:
    """The record, or the batch, of data file `number` at `at`, if there is a whole one."""
    crc, size, own, key_size, kind, place, sequence, synced, count = FIELDS.unpack_from(data, at)
    end = at + padded(size + key_size)
    if (own != number & 0xFFFFFFFF or size > (BATCH_BYTES_MAX if place == BATCH else VALUE_BYTES_MAX)
            or not sealed(core, data, at, end, crc)):
        return None
    if place > BATCH or kind > PUT or not 0 < sequence < 1 << 48:
        return Found(at, end, sequence, count, synced, [], "a record says what no version wrote")
    if place != BATCH:
        key_at = at + HEADER_BYTES
        value = data[key_at + key_size:key_at + key_size + size]
        return Found(at, end, sequence, 1, synced, [(data[key_at:key_at + key_size], sequence, kind, value)])
    inside = _inside(core, data, at + HEADER_BYTES, end, number)
    if len(inside) != count:
        return Found(at, end, sequence, count, synced, [], "a batch holds what no version wrote")
    return Found(at, end, sequence, count, synced, [write for found in inside for write in found.writes], inside=inside)


def _inside(core: ModuleType, data: bytes, at: int, end: int, number: int) -> tuple[Found, ...]:
    """The records of a whole batch, one behind the other, as far as they make sense: none of them is a batch."""
    found = []
    while at <= end - HEADER_BYTES and data[at + PLACE_AT] != BATCH:
        record = data_record(core, data, at, number)
        if record is None or record.wrong or record.end > end:
            break
        found.append(record)
        at = record.end
    return tuple(found)


def data_claim(data: bytes, at: int, number: int) -> int:
    """Where the damaged record of data file `number` at `at` says that it ends; 0 when it is not of this file, or may be a batch,
    whose whole records count."""
    _, size, own, key_size, _, place, *_ = FIELDS.unpack_from(data, at)
    return at + padded(size + key_size) if own == number & 0xFFFFFFFF and place != BATCH and size <= VALUE_BYTES_MAX else 0


DATA = Framing(data_record, data_claim)


def hint_says(core: ModuleType, data: bytes, number: int, database_id: bytes, size: int) -> list[tuple[int, int, bytes]] | None:
    """(offset, sequence, key) of each record of the data file of this size; None when the hint is of no use."""
    if len(data) < HINT_HEADER_BYTES or data[:8] != b"lsm.hint" or int.from_bytes(data[8:12], "little") != (
            core.crc32c_mask(core.crc32c(data[12:]))):
        return None
    if struct.unpack_from("<Q16sQ", data, 16) != (number, database_id, size):
        return None
    found, at = [], HINT_HEADER_BYTES
    while at + HINT_ENTRY.size <= len(data):
        tag, offset, _, key_size = HINT_ENTRY.unpack_from(data, at)
        at += HINT_ENTRY.size + key_size
        found.append((offset << 3, tag >> 8, data[at - key_size:at]))
    return found
