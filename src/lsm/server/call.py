"""Call: a request as the routes see it, and Answer: what they say to it. Without a router's or a framework's cost.

Parameters of the query are decoded to bytes, once; one that a route does not know, or that comes twice, is a problem.
"""
from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import unquote_plus

from lsm.server.budget import LARGE_BYTES, Budget, Hold
from lsm.server.problems import bad_request
from lsm.server.text import from_base64url, percent_decoded

Headers = list[tuple[bytes, bytes]]
NUMBER = re.compile(rb"[0-9]{1,18}")
LISTS = (b"if-match", b"if-none-match")
OCTETS = (b"content-type", b"application/octet-stream")
JSON = (b"content-type", b"application/json")


class Call:
    """One request: its parts, as bytes."""

    __slots__ = ("body", "headers", "hold", "key", "method", "path", "peer", "query", "route", "scope")

    def __init__(self, scope: Any, budget: Budget) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        path = scope.get("raw_path") or scope["path"].encode()
        self.path: bytes = path.partition(b"?")[0]                  # some servers leave the query on it
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self.headers) != len(scope["headers"]):
            self._join(scope["headers"])
        self.peer: str = (scope.get("client") or ("",))[0]
        self.key = b""
        self.body = b""
        self.hold = Hold(budget, self.peer)
        self.route = "other"

    def _join(self, headers: Headers) -> None:
        """Two lines of a list are one list (RFC 9110, 5.3)."""
        for name in LISTS:
            if values := [value for one, value in headers if one == name]:
                self.headers[name] = b", ".join(values)

    def header(self, name: bytes) -> str | None:
        """The header, None when there is none."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def parameters(self, known: Collection[str]) -> dict[str, bytes]:
        """What the query says: name: bytes."""
        found: dict[str, bytes] = {}
        if not self.query:
            return found
        for part in self.query.split(b"&"):
            if not part:
                continue
            raw, _, value = part.partition(b"=")
            name = unquote_plus(raw.decode("latin-1"))
            if name not in known:
                raise bad_request("bad_parameter", f"there is no parameter {name[:40]!r} here: it may have " + ", ".join(known))
            if name in found:
                raise bad_request("bad_parameter", f"{name} is given twice")
            found[name] = percent_decoded(value.replace(b"+", b" "))
        return found


class Answer:
    """A short answer, sent as it is."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers or []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = self.headers
        if self.status != 204 and self.status != 304:
            headers = [*headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if len(self.body) < LARGE_BYTES:
            await send({"type": "http.response.body", "body": self.body})
            return
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})         # waits until the client has taken most of it: then it is over


Handler = Callable[[Call], Awaitable[Answer]]


def json_answer(told: Any, status: int = 200, headers: Headers | None = None) -> Answer:
    """Compact JSON."""
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Answer(status, body, [JSON, *(headers or [])])


# ------------------------------------------------------------ parameters

def flag(parameters: dict[str, bytes], name: str) -> bool:
    """true or false; false when it is not given."""
    value = parameters.get(name, b"false")
    if value not in (b"true", b"false"):
        raise bad_request("bad_parameter", f"{name} is true or false")
    return value == b"true"


def number(parameters: dict[str, bytes], name: str, least: int = 0) -> int | None:
    """A whole number, None when it is not given."""
    value = parameters.get(name)
    if value is None:
        return None
    if not NUMBER.fullmatch(value) or int(value) < least:
        raise bad_request("bad_parameter", f"{name} is a whole number from {least}")
    return int(value)


def word(parameters: dict[str, bytes], name: str) -> str | None:
    """Text, None when it is not given."""
    value = parameters.get(name)
    return None if value is None else value.decode("latin-1")


def is_binary(parameters: dict[str, bytes]) -> bool:
    """Does `encoding` say that keys and values are base64url?"""
    value = parameters.get("encoding", b"text")
    if value not in (b"text", b"base64url"):
        raise bad_request("bad_parameter", "encoding is text or base64url")
    return value == b"base64url"


def key_of(raw: bytes | None, binary: bool) -> bytes | None:
    """A key as the request says it."""
    if raw is None or not binary:
        return raw
    return from_base64url(raw.decode("latin-1"))
