"""Scan: the rows of a range, as an iterator (a Reader). Bounds of all kinds are turned into one half-open range first."""
from __future__ import annotations

import operator
from collections.abc import Iterator
from itertools import islice
from typing import Any

from lsm._pycore.key import as_bytes
from lsm._pycore.reader import Reader
from lsm._pycore.view import View
from lsm._pycore.visible import after, prefix_end, rows

Bounds = tuple[bytes | None, bytes | None]      # [lower, upper), None where there is none


def bounds_of(start: Any, stop: Any, prefix: Any, include_start: bool, include_stop: bool) -> Bounds:
    """
    >>> bounds_of(b"b", b"d", None, True, False), bounds_of(None, b"d", b"c", True, True)
    ((b'b', b'd'), (b'c', b'd'))
    """
    lower: bytes | None = None
    upper: bytes | None = None
    if prefix is not None:
        lower = as_bytes(prefix, "prefixes")
        upper = prefix_end(lower)
    if start is not None:
        key = as_bytes(start)
        bound = key if include_start else after(key)
        lower = bound if lower is None else max(lower, bound)
    if stop is not None:
        key = as_bytes(stop)
        bound = after(key) if include_stop else key
        upper = bound if upper is None else min(upper, bound)
    return lower, upper


def limit_of(limit: Any) -> int | None:
    if limit is None:
        return None
    rows_most = operator.index(limit)           # TypeError for what is no whole number
    if rows_most < 0:
        raise ValueError(f"limit counts rows and cannot be {rows_most}")
    return min(rows_most, (1 << 63) - 1)


class Scan(Reader):
    """The rows of a range, as an iterator: see `DB.scan`. `close()`, or a `with` block, lets go of it early."""

    def __init__(self, store: Any, view: View | None, sequence: int, bounds: Bounds, reverse: bool, limit: int | None,
                 keys: bool, values: bool) -> None:
        super().__init__(store, view, sequence)
        assert view is not None
        self._rows: Iterator[Any] = islice(rows(view, sequence, *bounds, reverse), limit)
        if not values:
            self._rows = map(operator.itemgetter(0), self._rows)
        elif not keys:
            self._rows = map(operator.itemgetter(1), self._rows)
        self._ended = False
        self._error: Exception | None = None

    def __iter__(self) -> Scan:
        return self

    def __next__(self) -> Any:
        if self._ended:
            self._store._check_readable()
            raise StopIteration
        self._enter()
        try:
            if self._error is not None:
                raise self._error               # what is behind the damage is not shown, and it does not end in silence
            return next(self._rows)
        except StopIteration:
            self._ended = True
            self._let_go()
            raise
        except Exception as error:
            self._error = error
            raise
        finally:
            self._busy.release()

    def _let_go(self) -> None:
        super()._let_go()
        self._rows = iter(())
