"""Record: how one atomic batch of writes is framed in a log (docs/format-log.md).

    record  := crc:u32 payload-size:u32 log-number:u32 count:u32 sequence:u64 synced:u64 time:u64 payload padding
    payload := entry{count}
    entry   := 1 key-size:varint value-size:varint key value    put
             | 0 key-size:varint key                            delete

The checksum makes a batch whole or absent: a record that a crash tore does not match it, and is as if it had never been
written. `synced` is the watermark: every write up to it was known to be on disk when the record was made; it tells
damage (below it) from the tear of a power loss (above it). Pure functions.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lsm._pycore.coding import Malformed, read_bytes, read_varint, varint
from lsm._pycore.crc32c import masked_crc
from lsm._pycore.key import DELETE, PUT
from lsm.contract.arguments import KEY_BYTES_MAX, VALUE_BYTES_MAX
from lsm.contract.batch import Operation

HEADER = struct.Struct("<IIIIQQQ")
FIELDS = struct.Struct("<IIIQQQ")       # the header without its checksum
HEADER_BYTES = 40
ALIGNMENT = 8
PAYLOAD_BYTES_MAX = 1 << 30
LOW_32_BITS = 0xFFFFFFFF


class Record(NamedTuple):
    """What the header of a record says, and where the record lies in the log."""

    at: int
    end: int                            # of the record with its padding
    payload_size: int
    entries: int
    sequence: int                       # of the first entry; each further one has the next
    synced: int


def encode_entry(operation: Operation) -> bytes:
    """
    >>> encode_entry((b"kenya", b"Nairobi")), encode_entry((b"kenya", None))
    (b'\\x01\\x05\\x07kenyaNairobi', b'\\x00\\x05kenya')
    """
    key, value = operation
    if value is None:
        return b"%c%b%b" % (DELETE, varint(len(key)), key)
    return b"%c%b%b%b%b" % (PUT, varint(len(key)), varint(len(value)), key, value)


def encode_payload(operations: Iterable[Operation]) -> bytes:
    return b"".join(map(encode_entry, operations))


def encode_record(payload: bytes, count: int, log_number: int, sequence: int, synced: int, time: int) -> bytes:
    """The whole record, checksum and padding included."""
    covered = FIELDS.pack(len(payload), log_number & LOW_32_BITS, count, sequence, synced, time) + payload
    covered += bytes(-(4 + len(covered)) % ALIGNMENT)
    return masked_crc(covered).to_bytes(4, "little") + covered


def open_record(log: bytes, at: int, log_number: int) -> Record | None:
    """The whole, unharmed record of this log that stands at `at`; None when there is none."""
    left = len(log) - at
    if left < HEADER_BYTES:
        return None
    crc, size, number, count, sequence, synced, _ = HEADER.unpack_from(log, at)
    if size > min(PAYLOAD_BYTES_MAX, left - HEADER_BYTES) or number != log_number & LOW_32_BITS:
        return None
    end = at + HEADER_BYTES + size
    end += -(end - at) % ALIGNMENT
    if end > len(log) or crc != masked_crc(memoryview(log)[at + 4:end]):
        return None
    return Record(at, end, size, count, sequence, synced)


def decode_entries(log: bytes, record: Record) -> Iterator[Operation]:
    """The entries of a record, in order. Malformed where something else stands, or more than there should be."""
    at = record.at + HEADER_BYTES
    end = at + record.payload_size
    for _ in range(record.entries):
        operation, at = _decode_entry(log, at, end)
        yield operation
    if at != end:
        raise Malformed("a record is longer than its entries")


def _decode_entry(data: bytes, at: int, end: int) -> tuple[Operation, int]:
    if at >= end or data[at] not in (DELETE, PUT):
        raise Malformed("a record holds something that is no entry")
    is_put, value_size = data[at] == PUT, 0
    key_size, at = read_varint(data, at + 1, end)
    if is_put:
        value_size, at = read_varint(data, at, end)
    if key_size > KEY_BYTES_MAX or value_size > VALUE_BYTES_MAX:
        raise Malformed("a record holds something that is no entry")
    key, at = read_bytes(data, at, key_size, end)
    value, at = read_bytes(data, at, value_size, end)
    return (key, value if is_put else None), at
