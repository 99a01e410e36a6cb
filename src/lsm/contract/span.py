"""Span: what a scan was asked for: bounds as one half-open range, direction, limit, and which parts of a row. Immutable.

>>> Span.of(prefix=b"a").upper
b'b'
>>> Span.of(b"a", b"c", include_stop=True).upper        # the first key behind b"c"
b'c\\x00'
"""
from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from lsm.contract.arguments import as_bytes


@dataclass(frozen=True)
class Span:
    """Keys from `lower` on, and below `upper` when that is not None."""

    lower: bytes = b""
    upper: bytes | None = None
    reverse: bool = False
    limit: int | None = None
    keys: bool = True
    values: bool = True

    @classmethod
    def of(cls, start: Any = None, stop: Any = None, *, prefix: Any = None, include_start: bool = True,
           include_stop: bool = False, reverse: bool = False, limit: Any = None, keys: bool = True,
           values: bool = True) -> Span:
        """From the arguments of `scan`. Raises TypeError and ValueError as that does."""
        if not keys and not values:
            raise ValueError("keys=False and values=False leave nothing to iterate over")
        lower, upper = b"", None
        if prefix is not None:
            lower = as_bytes(prefix, "prefixes")
            upper = behind_prefix(lower)
        if start is not None:
            lower = max(lower, as_bytes(start, "keys") + (b"" if include_start else b"\0"))
        if stop is not None:
            end = as_bytes(stop, "keys") + (b"\0" if include_stop else b"")
            upper = end if upper is None else min(upper, end)
        if limit is not None:
            limit = operator.index(limit)
            if limit < 0:
                raise ValueError(f"limit counts rows and cannot be {limit}")
        return cls(lower, upper, bool(reverse), limit, bool(keys), bool(values))

    @property
    def empty(self) -> bool:
        """Can no key be in it?"""
        return self.limit == 0 or (self.upper is not None and self.upper <= self.lower)

    def holds(self, key: bytes) -> bool:
        """Is this key between the bounds?"""
        return self.lower <= key and (self.upper is None or key < self.upper)

    def shape(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[Any]:
        """Of these rows such parts as were asked for."""
        return rows if self.keys and self.values else map(itemgetter(0 if self.keys else 1), rows)


def behind_prefix(prefix: bytes) -> bytes | None:
    """The first key that sorts behind every key with the prefix; None when there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
