"""CRC32C: the checksum beside everything that is stored (Castagnoli's polynomial; "masked" in docs/format-table.md).

A checksum is the remainder of the data, read as one long polynomial over two values, by a fixed polynomial of degree
32. Bits are taken least significant first ("reflected"), so the data, read as a little-endian number, has its highest
power in bit 0. The common way is a table with the remainder of each byte, and one step a byte.

A step a byte is slow in Python, so long data is folded first: the front half times x^n has the same remainder as the
front half times (x^n mod P), which is only 31 bits longer than the front half. That product, a few shifts and xors of
large numbers, which Python does in C, is xored onto the back half: half the bytes, the same remainder. Processors with
a carry-less multiplication go about it in the same way. Pure functions.
"""
from __future__ import annotations

POLYNOMIAL = 0x82F63B78
ALL_ONES = 0xFFFFFFFF


def _remainder_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE = tuple(map(_remainder_of_byte, range(256)))


def _fold(kept: int) -> tuple[int, tuple[int, ...]]:
    """To fold onto `kept` bytes: these, and the bits that are set in x^(8 * kept) mod P."""
    power = 1 << 31                                     # x^0
    for _ in range(kept):
        power = power >> 8 ^ TABLE[power & 0xFF]        # times x^8
    return kept, tuple(bit for bit in range(32) if power >> bit & 1)


FOLDS = tuple(_fold((1 << exponent) + 4) for exponent in range(13, 5, -1))      # 8196 bytes, 4100, ... 68
PIECE = 2 * FOLDS[0][0] - 4         # bytes folded at a time: the product of the front must fit the back
SHORT = 2 * FOLDS[-1][0] - 4        # up to here stepping is as fast


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The checksum of `data`, continuing `crc`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state = crc ^ ALL_ONES
    if len(data) <= SHORT:
        return _step(data, state) ^ ALL_ONES
    for start in range(0, len(data), PIECE):
        piece = data[start:start + PIECE]
        state = _step(piece, state) if len(piece) <= SHORT else _step(_folded(piece, state), 0)
    return state ^ ALL_ONES


def _step(data: bytes | bytearray | memoryview, state: int) -> int:
    table = TABLE
    for byte in data:
        state = state >> 8 ^ table[(state ^ byte) & 0xFF]
    return state


def _folded(data: bytes | bytearray | memoryview, state: int) -> bytes:
    """68 bytes that lead from state 0 to where `data` leads from `state`."""
    folded = (int.from_bytes(data, "little") ^ state).to_bytes(len(data), "little")
    for kept, shifts in FOLDS:
        front = len(folded) - kept
        if front > 0:
            number, product = int.from_bytes(folded[:front], "little"), 0
            for shift in shifts:
                product ^= number << shift
            back = int.from_bytes(folded[front:], "little") ^ product << 8 * (kept - front) - 31
            folded = back.to_bytes(kept, "little")
    return folded


def crc32c_mask(crc: int) -> int:
    """The form in which a checksum is stored: a checksum of bytes that hold checksums is then still a good one."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & ALL_ONES


def crc32c_unmask(masked: int) -> int:
    rotated = (masked - 0xA282EAD8) & ALL_ONES
    return (rotated >> 17 | rotated << 15) & ALL_ONES


def masked_crc(data: bytes | bytearray | memoryview) -> int:
    return crc32c_mask(crc32c(data))
