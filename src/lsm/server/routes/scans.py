"""GET /v1/keys: a range of rows as JSON lines, from one moment, with a resume token when there is more.

The rows are taken from the store a chunk at a time, each when the one before was sent: a slow client holds a chunk, not a
range. The first chunk is taken before the answer begins, so what is wrong at once is a status; what goes wrong later breaks
the answer off.
"""
from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from lsm.contract.span import Span
from lsm.server.budget import LARGE_BYTES, Hold
from lsm.server.call import flag, is_binary, key_of, number, word
from lsm.server.problems import Problem, bad_request
from lsm.server.routes import described
from lsm.server.scanning import Page, Range
from lsm.server.service import Service

MEDIA_TYPE = "application/jsonl"
RANGE = ("prefix", "start", "stop", "reverse", "limit", "values", "encoding")
PARAMETERS = [
    described.query("prefix", "string", "Keys that begin with this."),
    described.query("start", "string", "Keys from this one on."),
    described.query("stop", "string", "Keys before this one."),
    described.query("reverse", "boolean", "From the last to the first."),
    described.query("limit", "integer", "So many rows at most.", minimum=0, maximum=10**18 - 1),
    described.query("values", "boolean", "false: keys alone."),
    described.query("resume", "string", "A resume token: what is left of an earlier scan. Only snapshot may stand beside it."),
    described.ENCODING, described.SNAPSHOT,
]
ROW = {"description": "Rows, one a line; then {\"end\":true}, or {\"resume\":TOKEN} when there is more.",
       "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.get("/v1/keys", summary="Scan a range", responses={200: ROW, **described.failures(404)},
                openapi_extra={"parameters": PARAMETERS}, response_class=Response, tags=["keys"])
    async def scan(request: Request) -> Response:
        call = request.scope["lsm.call"]
        parameters = call.parameters((*RANGE, "resume", "snapshot"))
        asked = _asked(parameters)
        settings = service.settings
        if service.scans >= settings.scans:
            raise Problem(429, "too_many_scans", f"{settings.scans} scans are at work: try again", {"Retry-After": "1"})
        held = AsyncExitStack()
        service.scans += 1
        held.callback(_one_less, service)
        try:
            moment = await held.enter_async_context(service.moments.using(word(parameters, "snapshot")))
            source = service.store.engine if moment is None else moment
            page = await service.store.run(Page, source, asked, settings.scan_rows, settings.chunk_bytes,
                                           settings.scan_seconds, call.hold.try_grow)
            held.push_async_callback(service.store.run, page.close)
            first = await service.store.run(page.next_chunk)
        except BaseException:
            await held.aclose()
            raise
        return Rows(service, page, first, held, call.hold)

    return routes


def _one_less(service: Service) -> None:
    service.scans -= 1


def _asked(parameters: dict[str, bytes]) -> Range:
    if (token := word(parameters, "resume")) is not None:
        if beside := [name for name in RANGE if name in parameters]:
            raise bad_request("bad_parameter", f"a resume token has it all: leave out {beside[0]}")
        return Range.of_token(token)
    binary = is_binary(parameters)
    prefix, start, stop = (key_of(parameters.get(name), binary) for name in ("prefix", "start", "stop"))
    span = Span.of(start, stop, prefix=prefix, reverse=flag(parameters, "reverse"), limit=number(parameters, "limit"),
                   values="values" not in parameters or flag(parameters, "values"))
    return Range(span, binary)


class Rows(Response):
    """The lines of a page as they come. `held` is let go of at the end, however that comes."""

    media_type = MEDIA_TYPE

    def __init__(self, service: Service, page: Page, first: bytes, held: AsyncExitStack, hold: Hold) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._service = service
        self._page = page
        self._first = first
        self._held = held
        self._hold = hold

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk, self._first = self._first, b""
            while True:
                last = self._page.done
                if last and len(chunk) < LARGE_BYTES:
                    await send({"type": "http.response.body", "body": chunk})
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = b""
                await send({"type": "http.response.body", "body": b"", "more_body": not last})  # waits until it was taken
                self._hold.shrink(self._service.settings.chunk_bytes)
                if last or await request.is_disconnected():
                    return
                chunk = await self._service.store.run(self._page.next_chunk)
        finally:
            self._service.metrics.rows_out += self._page.given
            await self._held.aclose()
