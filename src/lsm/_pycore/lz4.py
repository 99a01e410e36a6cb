"""LZ4: the block format, so that tables of the default compression open without any library (public specification:
lz4_Block_format.md of the LZ4 project).

A block is a row of sequences: some bytes as they are (literals), then "copy so many bytes from so far back" (a match).

    sequence := token:u8 more-literals literals  offset:u16 more-match
    token    := number of literals (upper four bits), length of the match less 4 (lower four)
    more-... := where such a number is 15: bytes that are added to it, up to and with the first that is not 255

The last sequence has literals only: the last five bytes of a block are always literals, and the last match begins at
least twelve bytes before the end. A match may reach into the bytes that it makes: offset 1 repeats one byte.

`compress` is greedy: it remembers where each four bytes were last seen and takes the first match it meets. It does not
give the same bytes as the library, but any LZ4 reads them. Pure functions.
"""
from __future__ import annotations

from lsm._pycore.coding import Malformed, shared_bytes

MATCH_MIN = 4
LITERALS_LAST = 5               # bytes at the end that no match may cover
MATCH_START_LAST = 12           # before the end: no match begins behind it
OFFSET_MAX = 65_535
SKIP = 6                        # after 2^6 places without a match go in steps of two, and so on


def compress(data: bytes) -> bytes:
    """
    >>> decompress(compress(b"kenya " * 100), 600) == b"kenya " * 100, len(compress(b"kenya " * 100))
    (True, 18)
    """
    out = bytearray()
    seen: dict[bytes, int] = {}
    literals_at = at = misses = 0
    last = len(data) - MATCH_START_LAST
    while at <= last:
        four = data[at:at + MATCH_MIN]
        before = seen.get(four, -1)
        if len(seen) > OFFSET_MAX:
            seen.clear()                # most of it is out of reach
        seen[four] = at
        if before < 0 or at - before > OFFSET_MAX:
            misses += 1
            at += 1 + (misses >> SKIP)
            continue
        size = _agreeing(data, before, at, len(data) - LITERALS_LAST)
        _put_sequence(out, data[literals_at:at], at - before, size)
        at = literals_at = at + size
        misses = 0
    _put_sequence(out, data[literals_at:], 0, 0)
    return bytes(out)


def _agreeing(data: bytes, before: int, at: int, end: int) -> int:
    """How many bytes from `at` on, up to `end`, are as those from `before` on: looked at in growing pieces."""
    size, step = MATCH_MIN, 16
    while at + size + step <= end and data[before + size:before + size + step] == data[at + size:at + size + step]:
        size += step
        step *= 2
    return size + shared_bytes(data[before + size:before + size + step], data[at + size:min(at + size + step, end)])


def _put_sequence(out: bytearray, literals: bytes, offset: int, size: int) -> None:
    """Literals, and the match behind them; the last sequence has none (size 0)."""
    match = size - MATCH_MIN if size else 0
    out.append(min(len(literals), 15) << 4 | min(match, 15))
    _put_more(out, len(literals))
    out += literals
    if size:
        out += offset.to_bytes(2, "little")
        _put_more(out, match)


def _put_more(out: bytearray, number: int) -> None:
    if number >= 15:
        full, rest = divmod(number - 15, 255)
        out += b"\xff" * full
        out.append(rest)


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that were compressed. Malformed when it is not exactly these; never makes more than them."""
    out = bytearray()
    at = 0
    try:
        while True:
            token = data[at]
            literals, at = _number(data, at + 1, token >> 4)
            if literals > min(len(data) - at, size - len(out)):
                raise Malformed("literals beyond the end")
            out += data[at:at + literals]
            at += literals
            if at == len(data):
                break
            offset = data[at] | data[at + 1] << 8
            match, at = _number(data, at + 2, token & 15)
            _copy(out, offset, match + MATCH_MIN, size)
    except IndexError:
        raise Malformed("a sequence is cut off") from None
    if len(out) != size:
        raise Malformed("not the stated size")
    return bytes(out)


def _number(data: bytes, at: int, number: int) -> tuple[int, int]:
    if number == 15:
        while data[at] == 255:
            number += 255
            at += 1
        number += data[at]
        at += 1
    return number, at


def _copy(out: bytearray, offset: int, match: int, size: int) -> None:
    """Append `match` bytes, taken from `offset` bytes back; some of them may be those just appended."""
    start = len(out) - offset
    if offset == 0 or start < 0 or match > size - len(out):
        raise Malformed("a match outside of the block")
    if offset >= match:
        out += out[start:start + match]
    else:
        out += (bytes(out[start:]) * (match // offset + 1))[:match]
