"""Retain: which versions a flush or a compaction keeps.

Live snapshots cut the sequence numbers into strata: stratum i holds what is above snapshot i-1 and at or below snapshot
i, the last one what is above them all. Of one key, a reader at any of these moments, or now, sees the newest version of
some stratum: so the newest version of each stratum is kept, and the others are dropped.

`bottom` says that outside the inputs nothing older exists for any of their keys. Then a tombstone in the oldest
stratum has nothing left to hide and goes too; and what stays of that stratum gets sequence number 0, which every
reader sees just the same, and which takes one byte instead of five. One user at a time.
"""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from lsm._pycore.key import DELETE, KIND_BITS, KIND_MASK, Entry, tag_of


def retained(entries: Iterable[Entry], snapshots: Sequence[int], bottom: bool) -> Iterator[tuple[Entry, int | None]]:
    """Each entry of a merge, with the tag to keep it under; None when it goes.

    >>> list(retained([(b"k", -0x301, b"new"), (b"k", -0x201, b"old")], snapshots=[], bottom=False))
    [((b'k', -769, b'new'), 769), ((b'k', -513, b'old'), None)]
    """
    key: bytes | None = None
    stratum = 0                         # of the last version of that key which was its stratum's newest
    for entry in entries:
        tag = -entry[1]
        own = bisect_left(snapshots, tag >> KIND_BITS) if snapshots else 0      # snapshots that cannot see it
        if entry[0] == key and own == stratum:
            yield entry, None           # a newer version of the same stratum was met before
            continue
        key, stratum = entry[0], own
        if bottom and stratum == 0:
            kind = tag & KIND_MASK
            yield entry, None if kind == DELETE else tag_of(0, kind)
        else:
            yield entry, tag
