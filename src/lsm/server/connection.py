"""Connection: HTTP/1.1 on the wire, by httptools through uvicorn, with the limits that neither has: on heads and on time; and
refusals that say what was wrong.

A head, whole, must come within `head_seconds` of its first byte; a body at `body_bytes_per_second` after a grace; a client must
read its answer within `write_seconds`; without a request a connection ends after `idle_seconds`. One timer looks at all
connections; a request costs a few assignments.

It overrides uvicorn's HttpToolsProtocol, which is not a public interface: tests/test_server_wire.py tells when that changes (it is
green with uvicorn 0.30 and 0.54).

Framing is strict: what two parsers could read in two ways is refused (request smuggling). After a refusal nothing more is
parsed, and what still comes is thrown away for a moment, so that the client reads the refusal and no reset.

Threads: the event loop.
"""
from __future__ import annotations

import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from lsm.server import problems
from lsm.server.entrance import Crowd, cut

IDLE, HEAD, BODY, ANSWER, LINGER = "idle", "head", "body", "answer", "linger"
LINGER_SECONDS = 2.0
LINGER_BYTES = 4 << 20
FRAMING_BYTES = 16 << 10                # of chunk sizes and extensions, beside six a byte of body
SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization"})


class Refused(Exception):
    """Raised within the parser, to end it. What is answered, the connection has noted."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self.crowd = crowd
        self.limits = crowd.settings
        self.phase = IDLE
        self.since = 0.0                # when the phase began
        self.received = 0               # bytes in it
        self.body_bytes = 0
        self.head_fields = 0
        self.head_bytes = 0
        self.blocked_since: float | None = None         # the client does not read
        self.refusal: tuple[int, str, str] | None = None
        self.peer = ""

    # ------------------------------------------------------------ the connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self._enter(IDLE)
        if crowded := self.crowd.enter(self, self.peer, self.loop):
            if self.crowd.may_refuse():
                self._refuse(429, "too_many_connections", crowded)
            else:
                cut(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self, self.peer)
        super().connection_lost(exc)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.since = self.loop.time()
        self.received = self.body_bytes = 0

    def look(self, now: float) -> None:
        """Is it too late for something?"""
        limits, passed = self.limits, now - self.since
        if self.blocked_since is not None and now - self.blocked_since > limits.write_seconds:
            self.crowd.metrics.refuse("slow_reader")
            cut(self.transport)
        elif self.phase == HEAD and passed > limits.head_seconds:
            self._refuse(408, "too_slow", f"the head of a request takes {limits.head_seconds:g} s at most")
        elif self.phase == BODY and not self.flow.read_paused and passed > limits.body_grace_seconds + (
                self.received / limits.body_bytes_per_second):
            self._refuse(408, "too_slow", f"after {limits.body_grace_seconds:g} s a body comes with "
                                          f"{limits.body_bytes_per_second:,} bytes a second at least")
        elif self.phase == IDLE and passed > limits.idle_seconds:
            self.transport.close()
        elif self.phase == LINGER and passed > LINGER_SECONDS:
            self.transport.abort()

    def pause_writing(self) -> None:
        self.blocked_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.blocked_since = None
        super().resume_writing()

    # ------------------------------------------------------------ what comes

    def data_received(self, data: bytes) -> None:
        if self.phase == IDLE:
            self._enter(HEAD)
        self.received += len(data)
        if self.refusal is not None or self.phase == LINGER:
            if self.received > LINGER_BYTES:
                self.transport.abort()
            if self.refusal is not None:
                return
        super().data_received(data)
        if self.phase == HEAD and self.received > self.limits.request_line_bytes + self.limits.header_bytes:
            self._refuse(431, "head_too_large", f"a head has {self.limits.header_bytes:,} bytes at most")
        elif self.phase == BODY and self.received > FRAMING_BYTES + 6 * self.body_bytes + self.limits.header_bytes:
            self._refuse(400, "malformed", "the chunks of the body are hardly anything but framing")

    def eof_received(self) -> None:
        if self.phase == LINGER:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.phase != HEAD:                          # one that was sent behind another
            self._enter(HEAD)
        self.head_fields = self.head_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.request_line_bytes:
            self._reject(414, "line_too_long", f"a request line has {self.limits.request_line_bytes:,} bytes at most")
        if b"#" in url:                                 # the parser would drop what stands behind it: another key
            self._reject(400, "malformed", "a request line has no fragment: in a key, # is %23")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head_fields += 1
        self.head_bytes += len(name) + len(value) + 4
        if self.head_fields > self.limits.header_count:
            self._reject(431, "too_many_headers", f"a head has {self.limits.header_count} headers at most")
        if self.head_bytes > self.limits.header_bytes:
            self._reject(431, "head_too_large", f"a head has {self.limits.header_bytes:,} bytes at most")
        if self.phase == HEAD:                          # what comes behind a chunked body is counted, not heard
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._check_head()
        if len(self.pipeline) >= self.limits.pipelined:
            self._reject(429, "too_many_requests", f"{self.limits.pipelined} requests of this connection wait already")
        super().on_headers_complete()
        self._enter(BODY)

    def _check_head(self) -> None:
        """Is there one way to read it?"""
        names = [name for name, _ in self.headers]
        for name in SINGLE:
            if names.count(name) > 1:
                self._reject(400, "malformed", f"{name.decode()} comes more than once")
        told = dict(self.headers)
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            self._reject(505, "version", "this server speaks HTTP/1.1")
        if b"host" not in told and self.parser.get_http_version() == "1.1":
            self._reject(400, "malformed", "Host is missing")
        if b"transfer-encoding" in told:
            if b"content-length" in told:
                self._reject(400, "malformed", "Content-Length and Transfer-Encoding exclude each other")
            if told[b"transfer-encoding"].strip().lower() != b"chunked" or self.parser.get_http_version() == "1.0":
                self._reject(400, "malformed", "the only Transfer-Encoding there is, is chunked")
        if not told.get(b"content-length", b"0").isdigit():
            self._reject(400, "malformed", "Content-Length is no number")
        if b"upgrade" in told:
            self._drop_upgrade()
        for _, value in self.headers:
            if b"\0" in value or b"\r" in value or b"\n" in value:
                self._reject(400, "malformed", "a header has a control character")

    def _drop_upgrade(self) -> None:
        self._reject(400, "no_upgrade", "this server speaks HTTP/1.1 and nothing else")

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:
            self._enter(IDLE)
        else:
            self._enter(ANSWER)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.phase == BODY:                          # answered before all of it was read
            self._enter(LINGER)
        elif self.phase == ANSWER and self.cycle.response_complete:     # not while the last of several is being answered
            self._enter(IDLE)

    # ------------------------------------------------------------ refusing

    def _reject(self, status: int, code: str, detail: str) -> None:
        """From within the parser."""
        self.refusal = status, code, detail
        raise Refused

    def send_400_response(self, msg: str) -> None:
        """The parser gave up: because of us, or of what came."""
        status, code, detail = self.refusal or (400, "malformed", "this is no request of HTTP/1.1")
        self._refuse(status, code, detail)

    def _unsupported_upgrade_warning(self) -> None:
        self._refuse(400, "no_upgrade", "this server speaks HTTP/1.1 and nothing else")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer, hear nothing more, and end. Where another answer is on its way there can be no answer."""
        if code != "too_many_connections":              # counted at the entrance
            self.crowd.metrics.refuse(code)
        self.refusal = status, code, detail
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or answering and (self.cycle.response_started or self.phase == HEAD):
            self.transport.abort()
            return
        if answering:                                   # it waits for a body that will not come
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"error": code, "status": status, "detail": detail}, separators=(",", ":")).encode()
        self.transport.write(b"".join((
            STATUS_LINE[status], b"content-type: ", problems.MEDIA_TYPE.encode(), b"\r\ncontent-length: ", str(len(body)).encode(),
            b"\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n", body)))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._enter(LINGER)
        else:
            self.transport.close()
