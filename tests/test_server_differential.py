"""The framing, held against another parser: the requests that the service understands, h11 understands in the same way.
Random damage to well-formed requests, coming in random pieces; the seed is printed.

What the service refuses it may refuse alone: it is the stricter one. `LSM_LONG=1` tries two hundred times as many.
"""
import asyncio
import contextlib
import os
import random

import pytest
import service  # noqa: F401  (skips where the extras are missing)

h11 = pytest.importorskip("h11", reason="it comes with httpx, a test tool")

from uvicorn.config import Config  # noqa: E402
from uvicorn.server import ServerState  # noqa: E402

from lsm.server.connection import ANSWER, IDLE, Connection  # noqa: E402
from lsm.server.entrance import Crowd  # noqa: E402
from lsm.server.metrics import Metrics  # noqa: E402
from lsm.server.settings import Settings  # noqa: E402

ROUNDS = 500_000 if os.environ.get("LSM_LONG") else 2_500
WELL_FORMED = [
    b"GET /v1/keys/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /v1/keys/a%2Fb HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    b"PUT /v1/keys/a?sync=true HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\nA;name=value\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"HEAD /v1/keys/a HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
]
PIECES = [b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b";", b",", b"0", b"5", b"+", b"-", b"0x5", b"chunked", b"\x0b", b"\xff",
          b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
          b"Host: localhost\r\n", b"HTTP/1.1", b"HTTP/1.0", b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.ended = False

    def write(self, data):
        pass

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.ended

    def close(self):
        self.ended = True

    abort = close

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def mutant(rng):
    """Some requests behind one another, damaged in some places."""
    raw = bytearray(b"".join(rng.choices(WELL_FORMED, k=rng.randint(1, 3))))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        at = rng.randrange(len(raw))
        match rng.randrange(4):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at:at] = rng.choice(PIECES)
            case 2:
                del raw[at:at + rng.randint(1, 4)]
            case 3:
                end = at + rng.randint(1, 40)
                raw[at:at] = raw[at:end]
    return bytes(raw)


async def understood(raw, rng):
    """[(method, target, body)] of the requests that the service takes as whole."""
    taken = []

    async def application(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        taken.append((scope["method"].encode(), target, body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    crowd = Crowd(Settings(), Metrics(), Connection)
    config = Config(application, log_config=None, lifespan="off", access_log=False)
    config.load()
    connection = crowd(config=config, server_state=ServerState(), app_state={})
    wire = Wire()
    connection.connection_made(wire)
    at = 0
    while at < len(raw) and not wire.ended:
        size = rng.choice((1, 3, 17, 1000))
        connection.data_received(raw[at:at + size])
        at += size
        for _ in range(8):                              # the application's answer, and that of the request behind it
            await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    return taken


def overlooked(raw):
    """Without what a server may overlook before and in a request line (RFC 9112, 2.2 and 3): line ends, spaces beyond one."""
    line, end, rest = raw.lstrip(b"\r\n").partition(b"\r\n")
    return b" ".join(filter(None, line.split(b" "))) + end + rest


def by_h11(raw):
    """The same, as h11 reads it."""
    taken = []
    with contextlib.suppress(h11.RemoteProtocolError):
        while raw:
            peer = h11.Connection(h11.SERVER)
            peer.receive_data(overlooked(raw))
            peer.receive_data(b"")
            request, body = peer.next_event(), b""
            if type(request) is not h11.Request:
                break
            while type(event := peer.next_event()) is h11.Data:
                body += event.data
            if type(event) is not h11.EndOfMessage:
                break
            path, _, query = request.target.partition(b"?")     # an empty query is none
            taken.append((request.method, path + (b"?" + query if query else b""), body))
            peer.send(h11.Response(status_code=204, headers=[]))
            peer.send(h11.EndOfMessage())
            if peer.our_state is h11.MUST_CLOSE:
                break
            raw = peer.trailing_data[0]
    return taken


def test_the_last_of_several_requests_is_no_silence():
    """While the last request that was sent behind others was being answered, its connection counted as one without a request, and
    was ended: the client did not learn what became of a slow write."""
    async def run():
        gates = [asyncio.Event() for _ in range(3)]

        async def application(scope, receive, send):
            await gates[int(scope["path"][1:])].wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        config = Config(application, log_config=None, lifespan="off", access_log=False)
        config.load()
        connection = Crowd(Settings(), Metrics(), Connection)(config=config, server_state=ServerState(), app_state={})
        wire = Wire()
        connection.connection_made(wire)
        connection.data_received(b"".join(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % n for n in range(3)))
        phases = [connection.phase]
        for gate in gates:
            gate.set()
            for _ in range(8):
                await asyncio.sleep(0)
            phases.append(connection.phase)
            connection.look(connection.loop.time() + (0 if gate is gates[-1] else 1000))
        assert phases == [ANSWER, ANSWER, ANSWER, IDLE] and not wire.ended
        connection.look(connection.loop.time() + 1000)
        assert wire.ended
        connection.connection_lost(None)

    asyncio.run(run())


def test_what_is_understood_is_understood_alike():
    seed = int(os.environ.get("LSM_SEED", "20261121"))
    print(f"seed: {seed}")
    rng = random.Random(seed)
    whole = refused = 0

    async def run():
        nonlocal whole, refused
        for _ in range(ROUNDS):
            raw = mutant(rng)
            ours, theirs = await understood(raw, rng), by_h11(raw)
            assert ours == theirs[:len(ours)], (raw, ours, theirs)
            whole += len(ours)
            refused += len(theirs) - len(ours)

    asyncio.run(run())
    print(f"{ROUNDS:,} mutants, {whole:,} requests understood by both, {refused:,} by h11 alone")
    assert whole > ROUNDS // 2
