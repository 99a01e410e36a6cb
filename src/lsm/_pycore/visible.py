"""Visible: what a reader at one moment may see of all there is: one version a key, none where it was deleted.

A moment is a sequence number: of each key the newest version at or below it counts. Versions come newest first when
one goes forward, so that is the first such version met; going backward it is the last one, so a key has to be left
before it is known. Bounds: rows are within [lower, upper) where these are given. Pure functions.
"""
from __future__ import annotations

from collections.abc import Iterator

from lsm._pycore.key import KIND_MASK, PUT, seek_tag
from lsm._pycore.view import View

Row = tuple[bytes, bytes]


def rows(view: View, sequence: int, lower: bytes | None, upper: bytes | None, reverse: bool) -> Iterator[Row]:
    """(key, value) of every key in the range that is there at the moment."""
    if reverse:
        return rows_backward(view, sequence, lower, upper)
    return rows_forward(view, sequence, lower, upper)


def rows_forward(view: View, sequence: int, lower: bytes | None, upper: bytes | None) -> Iterator[Row]:
    least = -seek_tag(sequence)             # of the entries' -tag: below it lies the future
    settled: bytes | None = None            # the key whose newest visible version was met
    for key, order, value in view.ascending(lower):
        if upper is not None and key >= upper:
            return
        if order >= least and key != settled:
            settled = key
            if -order & KIND_MASK == PUT:
                yield key, value


def rows_backward(view: View, sequence: int, lower: bytes | None, upper: bytes | None) -> Iterator[Row]:
    least = -seek_tag(sequence)
    current: bytes | None = None            # the key whose versions come just now, oldest first,
    newest: bytes | None = None             # and what the newest visible one so far has put there
    for key, order, value in view.descending(upper):
        if key != current:
            if current is not None and newest is not None:
                yield current, newest
            if lower is not None and key < lower:
                return
            current, newest = key, None
        if order >= least:
            newest = value if -order & KIND_MASK == PUT else None
    if current is not None and newest is not None:
        yield current, newest
