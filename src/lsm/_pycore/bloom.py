"""Bloom filter: may this table hold that key? "No" is certain, "yes" is right about 99 times of 100 (docs/format-table.md).

The filter is an array of lines of 64 bytes. A key owns one line and a few bits in it, all told by one 64-bit hash, so
that asking costs a compiled reader one cache line. A lookup asks the filter of each table on its way, and so reads
from the disk hardly anything but the one table that has the key.

The hash and the bits live on disk: they never change. Pure functions.
"""
from __future__ import annotations

from collections.abc import Iterable

LINE_BYTES = 64
LINE_BITS = 8 * LINE_BYTES
PROBES_MAX = 16
BITS_PER_KEY_MAX = 64
MASK = (1 << 64) - 1                    # all arithmetic is modulo 2^64
MULTIPLIER = 0x9E3779B97F4A7C15


def hash64(key: bytes) -> int:
    """
    >>> hex(hash64(b"kenya"))
    '0xc19b63579354abed'
    """
    hash_ = 0x51ED270B9F3D2A4B ^ len(key) * MULTIPLIER & MASK
    for at in range(0, len(key), 8):
        hash_ = (hash_ ^ int.from_bytes(key[at:at + 8], "little")) * MULTIPLIER & MASK
        hash_ ^= hash_ >> 32
    hash_ = hash_ * 0xD6E8FEB86659FD93 & MASK
    return hash_ ^ hash_ >> 32


def line_of(hash_: int, lines: int) -> int:
    return (hash_ >> 32) * lines >> 32


def may_contain(filter_: bytes, lines: int, probes: int, hash_: int) -> bool:
    """May a key of this hash have been added? Without a filter (no lines) it may."""
    start = line_of(hash_, lines) * LINE_BYTES
    for _ in range(probes if lines else 0):
        hash_ = hash_ * 0xA0761D6478BD642F & MASK
        bit = hash_ >> 55                               # 0 to 511
        if not filter_[start + (bit >> 3)] >> (bit & 7) & 1:
            return False
    return True


def probes_of(bits_per_key: int) -> int:
    """Bits per key times ln 2, rounded: the number that lets the fewest strangers through."""
    return min(max((bits_per_key * 69 + 50) // 100, 1), PROBES_MAX)


def line_count(keys: int, bits_per_key: int, bytes_max: int) -> int:
    """Lines of a filter of so many keys; 0 when none is wanted. A table too large for its filter gets a coarser one."""
    if keys == 0 or bits_per_key <= 0:
        return 0
    return min((keys * bits_per_key + LINE_BITS - 1) // LINE_BITS, bytes_max // LINE_BYTES)


def build(hashes: Iterable[int], lines: int, probes: int) -> bytes:
    """The lines of a filter of these keys."""
    filter_ = bytearray(lines * LINE_BYTES)
    for hash_ in hashes if lines else ():
        start = line_of(hash_, lines) * LINE_BYTES
        for _ in range(probes):
            hash_ = hash_ * 0xA0761D6478BD642F & MASK
            bit = hash_ >> 55
            filter_[start + (bit >> 3)] |= 1 << (bit & 7)
    return bytes(filter_)
