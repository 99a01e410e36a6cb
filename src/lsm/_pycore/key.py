"""Keys, tags and the order of the engine.

Every write has a sequence number, from 1. Together with what it was, put or delete, that makes its tag:

    tag = sequence << 8 | kind

An entry is a user key, a tag and a value. Order everywhere: user keys ascending by unsigned bytes, and for equal keys
tags descending, so that the newest version of a key comes first. In this package an entry on its way is the tuple

    (key, -tag, value)

which Python compares in just that order. `heapq.merge` and `bisect` need no more. Who asks for what was there at
sequence s seeks the first entry of the key with -tag >= -seek_tag(s).

The numbers of the kinds live on disk (docs/format-log.md, docs/format-table.md): they never change.
"""
from __future__ import annotations

Entry = tuple[bytes, int, bytes]        # (key, -tag, value)

DELETE, PUT = 0, 1
KIND_BITS = 8
KIND_MASK = 0xFF
SEQUENCE_MAX = (1 << 56) - 1


def tag_of(sequence: int, kind: int) -> int:
    return sequence << KIND_BITS | kind


def seek_tag(sequence: int) -> int:
    """The largest tag that a reader at this moment may see: of whatever kind."""
    return sequence << KIND_BITS | KIND_MASK


def sequence_of(sequence: int | None) -> int:
    """A moment as callers give it; None is now."""
    if sequence is None:
        return SEQUENCE_MAX
    if not 0 <= sequence <= SEQUENCE_MAX:
        raise ValueError(f"a sequence number is 0 to 2**56-1, not {sequence}")
    return sequence
