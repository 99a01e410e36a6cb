"""Steadfast: the rows of a span, whatever is raised in the middle.

A generator ends by what is raised in it, and who asked on would take that for the end: rows would be missing in silence. Here
damage is raised again for ever, and behind what a signal's handler raised it goes on where it was.

Threads: one at a time, which its owner sees to.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from lsm.contract.span import Span
from lsm.errors import BusyError, Error

Row = tuple[bytes, bytes]


class Steadfast:
    """As many rows as the limit of the span allows; `begin` answers those between its bounds."""

    def __init__(self, begin: Callable[[Span], Iterator[Row]], span: Span) -> None:
        self._begin = begin
        self._span = span
        self._left = -1 if span.limit is None else span.limit
        self._rows = begin(span)
        self._last: Row | None = None               # given out
        self._damage: Error | None = None

    def __iter__(self) -> Steadfast:
        return self

    def __next__(self) -> Row:
        if self._damage is not None:
            raise self._damage
        if self._left == 0:
            raise StopIteration
        try:
            row = next(self._rows)
        except StopIteration:
            raise
        except Error as error:
            if isinstance(error, BusyError):            # that passes
                self._rows = self._begin(self._rest())
            else:
                self._damage = error
            raise
        except BaseException:
            self._rows = self._begin(self._rest())
            raise
        self._last = row
        self._left -= 1
        return row

    def _rest(self) -> Span:
        """What is still to come."""
        if self._last is None:
            return self._span
        key = self._last[0]
        return replace(self._span, upper=key) if self._span.reverse else replace(self._span, lower=key + b"\0")
