"""Scanning: a range asked for, its rows as JSON lines, and the token by which a scan that stopped goes on.

    {"key":"kenya:capital","value":"Nairobi"}
    {"key_b64":"_wA","value":"binary keys are told so"}
    {"end":true}                                            or {"resume":"AgBi..."} when there is more

The last line tells a whole answer from one that was cut off: an answer that ends without it is not whole.

A token says what is left of the range. It is made of two keys and a few numbers, and holds no secret.
Threads: a `Page` is used by one thread at a time.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lsm.contract.span import Span
from lsm.server.problems import bad_request, overloaded
from lsm.server.text import base64url, from_base64url, member, member_bytes

TOKEN_VERSION = 2
REVERSE, BOUNDED, LIMITED, NO_VALUES, BINARY = 1, 2, 4, 8, 16
ROW_BYTES = 40              # of a row's JSON, beside key and value

Room = Callable[[int], bool]


@dataclass(frozen=True)
class Range:
    """What of the database is asked for, and how it is told."""

    span: Span
    binary: bool = False

    def token(self, last: bytes | None = None, given: int = 0) -> str:
        """For what is left behind the key `last`, after `given` rows."""
        span = self.span
        if last is not None:
            span = replace(span, upper=last) if span.reverse else replace(span, lower=last + b"\0")
        if span.limit is not None:
            span = replace(span, limit=span.limit - given)
        flags = (REVERSE * span.reverse | BOUNDED * (span.upper is not None) | LIMITED * (span.limit is not None)
                 | NO_VALUES * (not span.values) | BINARY * self.binary)
        parts = [bytes([TOKEN_VERSION, flags]), len(span.lower).to_bytes(4, "big"), span.lower]
        if span.limit is not None:
            parts.append(span.limit.to_bytes(8, "big"))
        return base64url(b"".join([*parts, span.upper or b""]))

    @classmethod
    def of_token(cls, token: str) -> Range:
        """What it says is left. Raises the problem 400 for what is no token."""
        data = from_base64url(token)
        wrong = bad_request("bad_token", "this is no resume token of this server: begin the scan anew")
        if len(data) < 6 or data[0] != TOKEN_VERSION or data[1] >= 32:
            raise wrong
        flags, size = data[1], int.from_bytes(data[2:6], "big")
        lower, rest = data[6:6 + size], data[6 + size:]
        limit = None
        if flags & LIMITED:
            limit, rest = int.from_bytes(rest[:8], "big"), rest[8:]
        if len(lower) < size or (rest and not flags & BOUNDED):
            raise wrong
        span = Span(lower, rest if flags & BOUNDED else None, bool(flags & REVERSE), limit, values=not flags & NO_VALUES)
        return cls(span, bool(flags & BINARY))


class Page:
    """The rows of a range as JSON lines, taken a chunk at a time, from one moment."""

    def __init__(self, source: Any, asked: Range, rows_max: int, chunk_bytes: int, seconds: float, room: Room) -> None:
        """`source`: a database or a snapshot. `room`: may a chunk have so many bytes?"""
        span = asked.span
        self._asked = asked
        self._most = rows_max if span.limit is None else min(rows_max, span.limit)
        self._chunk_bytes = chunk_bytes
        self._deadline = time.monotonic() + seconds
        self._room = room
        self._rows: Any = source.scan(span.lower, span.upper, reverse=span.reverse, values=span.values, limit=span.limit)
        self.given = 0
        self._last: bytes | None = None
        self.done = False

    def next_chunk(self) -> bytes:
        """The next lines; `done` is true when they are the last ones. Raises what the engine raises: then the answer must
        break off, not end. Where there is no room for a row, they end with a token; raises the problem 503 for the first of all."""
        lines: list[str] = []
        size = 0
        if not self._room(self._chunk_bytes):
            return self._out_of_room(lines)
        late = time.monotonic() > self._deadline
        for key, value in self._some(0 if late else self._most - self.given):
            if len(value or b"") > self._chunk_bytes // 8 and not self._room(
                    max(self._chunk_bytes, size + len(value or b"") + member_bytes(value or b""))):
                return self._out_of_room(lines)
            binary = self._asked.binary
            line = "{" + member("key", key, binary) + ("" if value is None else "," + member("value", value, binary)) + "}\n"
            lines.append(line)
            self._last = key
            self.given += 1
            size += len(line) + ROW_BYTES
            if size >= self._chunk_bytes:
                return "".join(lines).encode()
        self.done = True
        lines.append(self._end())
        self.close()
        return "".join(lines).encode()

    def _out_of_room(self, lines: list[str]) -> bytes:
        if self._last is None:
            raise overloaded("too many bytes are on their way at once, in all or of yours: try again")
        self.done = True
        self.close()
        return "".join([*lines, self._resume()]).encode()

    def _some(self, most: int) -> Iterator[tuple[bytes, bytes | None]]:
        values = self._asked.span.values
        for _ in range(most):
            row = next(self._rows, None)
            if row is None:
                return
            yield row if values else (row, None)

    def _end(self) -> str:
        limit = self._asked.span.limit
        if limit is not None and self.given >= limit:
            return '{"end":true}\n'
        if next(self._rows, None) is None:
            return '{"end":true}\n'
        return self._resume()

    def _resume(self) -> str:
        return f'{{"resume":"{self._asked.token(self._last, self.given)}"}}\n'

    def close(self) -> None:
        """Let go of the moment."""
        self._rows.close()
