"""Door: what every request passes through, as an ASGI application around the API: host, token, key, body; and on the way out
problems as answers, and the counting.

Paths that hold a key do not go through a router: they are compared as the bytes that were sent, and the key is what
percent-encoding says, decoded once; `/`, `..`, `//`, a line end are bytes of it like any other.

Invariants: nothing is read of a body before host and token are right, nor where there is none to send; no body is larger than its
route's limit, nor all of them together than the budget, which counts what has come, not what was announced; an answer that broke
off is never ended as if it were whole.
Threads: the event loop.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from starlette.routing import Match

from lsm.server import problems
from lsm.server.attempts import Attempts
from lsm.server.call import Call, Handler
from lsm.server.problems import Problem
from lsm.server.service import Service
from lsm.server.settings import host_name
from lsm.server.shape import has_more_parts
from lsm.server.text import percent_decoded
from lsm.server.tokens import Right

logger = logging.getLogger("lsm.server")

OPEN_PATHS = frozenset({b"/health", b"/docs", b"/openapi.json"})     # no token is asked
READING = ("GET", "HEAD")
WITHOUT_BODY = (*READING, "DELETE")
BATCH = b"/v1/batch"
OPERATION_PARTS = 8         # of an operation of a batch: itself, a comma, its members; and some more
SMALL_PARTS = 32            # of any other body
SMALL_BYTES = 4 << 10       # of a body that holds no value
NOSNIFF = (b"x-content-type-options", b"nosniff")
NO_CACHE = (b"cache-control", b"no-cache")

Keyed = Mapping[bytes, tuple[str, Mapping[str, Handler]]]       # prefix of the path: route, method: handler


class Door:
    """`keyed`: the routes whose path ends in a key; `api`: the application for all others."""

    def __init__(self, api: Any, service: Service, keyed: Keyed) -> None:
        self.service = service
        self.api = api
        self._settings = service.settings
        self.keyed = tuple(keyed.items())
        self._metrics = service.metrics
        self._budget = service.budget
        self._attempts = Attempts(service.settings.wrong_tokens)

    def description(self) -> Any:
        """The API as OpenAPI tells it."""
        return self.api.openapi()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.api(scope, receive, send)
            return
        call, started, status, over = Call(scope, self._budget), perf_counter(), 0, False
        metrics = self._metrics

        async def answer(message: Any) -> None:
            nonlocal status, over
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], NOSNIFF, NO_CACHE]
            else:
                metrics.bytes_out += len(message.get("body", b""))
                over = not message.get("more_body", False)
            await send(message)

        metrics.running += 1
        try:
            self._admit(call)
            handler = self._key(call)
            if (b"content-length" in call.headers or b"transfer-encoding" in call.headers) and self._is_read(call, handler):
                await self._read(call, receive)
            if handler is not None:
                reply = await handler(call)
                await reply(scope, receive, answer)
            else:
                scope["lsm.call"] = call
                await self.api(scope, _replaying(call.body, receive), answer)
                call.route = getattr(scope.get("route"), "path", call.route)
        except _Gone:
            status = status or 499                  # the client went away; nobody is answered
        except Exception as error:
            if not over:                            # else the API has answered and logged it
                problem = problems.of(error)
                if status:                          # on its way already: it must break off
                    logger.error("an answer was broken off: %s", problem.code)
                else:
                    await problem.response()(scope, receive, answer)
        finally:
            metrics.running -= 1
            call.hold.let_go()
            metrics.observe(call.method, call.route, status, perf_counter() - started)

    # ------------------------------------------------------------ may it?

    def _admit(self, call: Call) -> None:
        """Is it meant for us, and does it have a token for what it wants?"""
        tokens = self._settings.tokens
        if not tokens:
            self._check_origin(call)
            return
        if call.path in OPEN_PATHS:
            return
        self._attempts.check(call.peer)
        right = tokens.judge(call.headers.get(b"authorization"))
        if right is Right.NONE:
            if b"authorization" in call.headers:
                self._attempts.note(call.peer)
            raise Problem(401, "unauthorized", "send a token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if right < Right.WRITE and not _only_reads(call):
            raise Problem(403, "read_only_token", "this token may only read")

    def _check_origin(self, call: Call) -> None:
        """Without tokens any program of this machine may come, but no web page that a browser of this machine shows."""
        host = call.header(b"host") or "localhost"
        if not self._settings.knows_host(host):
            raise Problem(421, "misdirected", "this server is not known by that Host: use localhost, or start it with --host-name")
        origin = call.header(b"origin")
        foreign = origin is not None and host_name(origin.partition("://")[2]) != host_name(host)
        if foreign or call.headers.get(b"sec-fetch-site") == b"cross-site":
            raise Problem(403, "foreign_origin", "pages of other sites may not use this server")

    # ------------------------------------------------------------ key and body

    def _key(self, call: Call) -> Handler | None:
        """Who handles it, when its path ends in a key."""
        path = call.path
        for prefix, (route, handlers) in self.keyed:
            if path.startswith(prefix):
                call.route = route
                handler = handlers.get(call.method)
                if handler is None:
                    raise Problem(405, "method_not_allowed", "this path has " + ", ".join(handlers),
                                  {"Allow": ", ".join(handlers)})
                call.key = percent_decoded(path[len(prefix):])
                return handler
        return None

    def _most(self, call: Call) -> int:
        if call.method in WITHOUT_BODY or call.path in OPEN_PATHS:
            return 0
        if call.route == "/v1/keys/{key}":
            return self._settings.value_bytes
        return self._settings.body_bytes if call.path == BATCH or call.route == "/set/{key}" else SMALL_BYTES

    def _is_read(self, call: Call, handler: Handler | None) -> bool:
        """May there be a body, or is it to be refused? What has no route has another answer, for which nothing is read."""
        return handler is not None or self._most(call) > 0 or any(
            route.matches(call.scope)[0] is Match.FULL for route in self.api.routes)

    def _check_shape(self, call: Call) -> None:
        """What is too many parts to be read on the event loop, and for its route."""
        if call.path == BATCH:
            most = self._settings.batch_operations
            if has_more_parts(call.body, OPERATION_PARTS * most + SMALL_PARTS):
                raise Problem(413, "too_many_operations", f"a batch may have {most:,} operations")
        elif call.route != "/v1/keys/{key}" and has_more_parts(call.body, SMALL_PARTS):
            raise Problem(422, "invalid", "the body has more members than there are")

    async def _read(self, call: Call, receive: Any) -> None:
        """The body, whole, in the call's hold of the budget."""
        try:
            size = int(call.headers.get(b"content-length", b"0"))
        except ValueError:
            raise problems.bad_request("bad_length", "Content-Length is no number") from None
        self._check_size(call, size)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            if part:
                size += len(part)
                self._check_size(call, size)
                call.hold.grow(size)
                parts.append(part)
            if not message.get("more_body", False):
                break
        call.body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._check_shape(call)
        self._metrics.bytes_in += size

    def _check_size(self, call: Call, size: int) -> None:
        if size > (most := self._most(call)):
            raise Problem(413, "too_large", f"the body is over the limit of {most:,} bytes" if most else
                          f"{call.method} has no body here")


class _Gone(Exception):
    """The client closed before its request was whole."""


def _only_reads(call: Call) -> bool:
    return call.method in READING or call.path == b"/v1/snapshots" or call.path.startswith(b"/v1/snapshots/")


def _replaying(body: bytes, receive: Any) -> Any:
    """The body that was read, for those who read it again; then what comes."""
    first = True

    async def again() -> Any:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
