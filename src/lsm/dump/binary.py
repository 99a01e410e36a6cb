"""Binary: blocks of entries, each with its checksum and the number of entries before it, and a last, empty one with the
number of them all. Damage, and an end that is missing, are noticed. The format is in docs/format-dump.md.

Memory: one block, which is a quarter of a megabyte, or one entry where that is longer.
Pure functions, but for the files. Nothing that was read is believed before its block's checksum was right.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from lsm._chosen import core
from lsm.contract.arguments import KEY_BYTES_MAX, VALUE_BYTES_MAX
from lsm.errors import Error, FormatError, VersionError

MAGIC = b"\x89lsm\r\n\x1a\n"            # no text begins so, and what changes ends of lines is noticed
VERSION = 1
BLOCK_BYTES = 1 << 18                   # a block is full from here on
BLOCK_BYTES_MAX = BLOCK_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX + 16
HEADER = struct.Struct("<8sII")         # magic, version, crc
BLOCK = struct.Struct("<IIQI")          # payload size, entries, entries before, crc
DELETE, PUT = 0, 1


def write(entries: Iterable[tuple[bytes, bytes | None]], file: BinaryIO) -> int:
    """All entries; answers how many. When they end in an error, so does the dump: what came before is in it, and its last
    block is missing, so that `read` will say so."""
    covered = MAGIC + struct.pack("<I", VERSION)
    file.write(covered + struct.pack("<I", _masked(covered)))
    before = 0
    for count, payload in _payloads(entries):
        file.write(_block(count, before, payload))
        before += count
    file.write(_block(0, before, b""))
    return before


def _block(count: int, before: int, payload: bytes) -> bytes:
    head = struct.pack("<IIQ", len(payload), count, before)
    return head + struct.pack("<I", core.crc32c_mask(core.crc32c(payload, core.crc32c(head)))) + payload


def _masked(data: bytes) -> int:
    return core.crc32c_mask(core.crc32c(data))       # type: ignore[no-any-return]


def _payloads(entries: Iterable[tuple[bytes, bytes | None]]) -> Iterator[tuple[int, bytes]]:
    payload = bytearray()
    count = 0
    try:
        for key, value in entries:
            _add(payload, key, value)
            count += 1
            if len(payload) >= BLOCK_BYTES:
                yield count, bytes(payload)
                payload, count = bytearray(), 0
    except Error:
        if count:
            yield count, bytes(payload)
        raise
    if count:
        yield count, bytes(payload)


def _add(payload: bytearray, key: bytes, value: bytes | None) -> None:
    payload.append(DELETE if value is None else PUT)
    _add_varint(payload, len(key))
    if value is not None:
        _add_varint(payload, len(value))
    payload += key
    payload += value or b""


def _add_varint(payload: bytearray, number: int) -> None:
    while number > 127:
        payload.append(number & 127 | 128)
        number >>= 7
    payload.append(number)


def read(file: BinaryIO, name: str) -> Iterator[tuple[bytes, bytes | None]]:
    """The entries. Raises FormatError, which names file and byte, where a dump is damaged or ends too early."""
    _check_header(file, name)
    at, before = HEADER.size, 0
    while True:
        head = _exactly(file, BLOCK.size, name, at)
        size, count, expected, crc = BLOCK.unpack(head)
        if size > BLOCK_BYTES_MAX:
            raise FormatError(name, f"byte {at}", "the dump is damaged: a block is too large")
        payload = _exactly(file, size, name, at)
        if core.crc32c_mask(core.crc32c(payload, core.crc32c(head[:-4]))) != crc:
            raise FormatError(name, f"byte {at}", "the dump is damaged: the checksum of a block is wrong")
        if expected != before:
            raise FormatError(name, f"byte {at}", f"entries are missing: {expected} belong before this block, {before} are")
        if count == 0:
            break
        yield from _entries(payload, count, name, at + BLOCK.size)
        at += BLOCK.size + size
        before += count
    if size or file.read(1):
        raise FormatError(name, f"byte {at + BLOCK.size}", "something follows the end of the dump")


def _check_header(file: BinaryIO, name: str) -> None:
    magic, version, crc = HEADER.unpack(header := _exactly(file, HEADER.size, name, 0))
    if magic != MAGIC:
        raise FormatError(name, "byte 0", "not a binary dump, or one whose ends of lines were changed on its way")
    if _masked(header[:-4]) != crc:
        raise FormatError(name, "byte 8", "the dump is damaged: the checksum of its header is wrong")
    if version != VERSION:
        raise VersionError(f"format {version} of dumps is newer than this lsm reads", name)


def _exactly(file: BinaryIO, size: int, name: str, at: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise FormatError(name, f"byte {at}", "the dump ends here, before its last block: it was cut off")
    return data


def _entries(payload: bytes, count: int, name: str, start: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Those of one block, whose checksum was right: what does not fit all the same was never written by `write`."""
    at = 0
    try:
        for _ in range(count):
            kind = payload[at]
            key_size, at = _varint(payload, at + 1)
            if kind == PUT:
                value_size, at = _varint(payload, at)
            elif kind == DELETE:
                value_size = 0
            else:
                raise ValueError(f"an entry of kind {kind}")
            middle, end = at + key_size, at + key_size + value_size
            if end > len(payload):
                raise ValueError("an entry is longer than its block")
            yield payload[at:middle], payload[middle:end] if kind == PUT else None
            at = end
        if at != len(payload):
            raise ValueError("a block is longer than its entries")
    except IndexError:
        raise FormatError(name, f"byte {start + at}", "the dump is damaged: an entry is longer than its block") from None
    except ValueError as error:
        raise FormatError(name, f"byte {start + at}", f"the dump is damaged: {error}") from None


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """(number, what follows it)."""
    number = shift = 0
    while True:
        byte = payload[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 28:
            raise ValueError("a size takes more than five bytes")
