"""Coding: how whole numbers lie in files, and the bounds-checked way to read them back (every docs/format-*.md page).

Fixed integers are little-endian and are packed by `struct`. A varint has seven bits a byte, least significant first,
the high bit set on all but the last: 300 is 1010_1100 0000_0010. Most numbers of a table (sizes, what keys share) are
below 128 and take one byte.

Whoever reads says where the container ends. A number that is not wholly before that end, or has more than 64 bits, is
a Malformed; who called knows file and offset, and makes a CorruptionError of it. Pure functions.
"""
from __future__ import annotations

from lsm.errors import Error

MORE = 0x80                     # the bit that says: another byte follows
VARINT_BYTES_MAX = 10           # 64 bits


class Malformed(Error):
    """These bytes are not what the format says. Never leaves the core: it becomes a CorruptionError on its way.
    `offset`: where in what was read."""

    def __init__(self, detail: str, offset: int = 0) -> None:
        super().__init__(detail)
        self.offset = offset


def varint(number: int) -> bytes:
    """
    >>> varint(1), varint(300)
    (b'\\x01', b'\\xac\\x02')
    """
    if number < MORE:
        return ONE_BYTE[number]
    encoded = bytearray()
    while number >= MORE:
        encoded.append(number & 0x7F | MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


ONE_BYTE = tuple(bytes((number,)) for number in range(MORE))


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The varint at `at`, and where the next thing begins.

    >>> read_varint(b"\\xac\\x02", 0, 2)
    (300, 2)
    """
    number = shift = 0
    for where in range(at, min(at + VARINT_BYTES_MAX, end)):
        byte = data[where]
        number |= (byte & 0x7F) << shift
        if byte < MORE:
            if number >> 64:
                break
            return number, where + 1
        shift += 7
    raise Malformed("a varint that does not end, or has more than 64 bits")


def read_bytes(data: bytes, at: int, size: int, end: int) -> tuple[bytes, int]:
    """The next `size` bytes, and where the next thing begins."""
    if size > end - at:
        raise Malformed("more bytes are announced than there are")
    return data[at:at + size], at + size


def shared_bytes(a: bytes, b: bytes) -> int:
    """How many bytes two keys have in common at their beginning.

    >>> shared_bytes(b"kenya", b"kigali")
    1
    """
    most = min(len(a), len(b))
    if a[:most] == b[:most]:
        return most
    low = 0                             # the first `low` bytes agree, the first `most` do not
    while most - low > 1:
        middle = (low + most) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            most = middle
    return low
