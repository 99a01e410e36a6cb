"""Entrance: connections counted from the moment the system has accepted them, a TLS handshake included: each has a descriptor, and the
engine needs some, too. Who has no place is told so, by some at a time; all others are cut off at once.

Invariant: there are never more sockets than `Crowd.most`, `REFUSALS`, and those that were accepted within one turn of the loop.
Threads: the event loop.
"""
from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import struct
from typing import Any

from lsm.server.metrics import Metrics
from lsm.server.settings import Settings

REFUSALS = 32               # connections that are being told that there is no place, at once
ENGINE_DESCRIPTORS = 128    # that an engine may come to need beside those it has: tables, logs, cursors
BACKLOG_MAX = 128           # accepted in one turn of the loop; some turns go by until they are counted
TURNS = 4
HANDSHAKE_GRACE_SECONDS = 1.0   # behind its own limit
LOOK_SECONDS = 0.25         # how often all connections are looked at


class Crowd:
    """All connections of a server, and the timer that looks at them. `making` makes one behind its entrance."""

    def __init__(self, settings: Settings, metrics: Metrics, making: Any, most: int | None = None,
                 context: ssl.SSLContext | None = None) -> None:
        self.settings = settings
        self.metrics = metrics
        self.most = settings.connections if most is None else most
        self.context = context
        self.connections: set[Any] = set()
        self.refused: set[Any] = set()              # of them: those that are being told so
        self._making = making
        self._peers: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: Any, peer: str, loop: asyncio.AbstractEventLoop) -> str | None:
        """Counts it; answers why it may not stay, None if it may. What may not stay must leave at once unless `may_refuse`."""
        why = None
        if len(self.connections) - len(self.refused) >= self.most:
            why = f"there are {self.most:,} connections already"
        elif self._peers.get(peer, 0) >= self.settings.connections_per_peer:
            why = f"there are {self.settings.connections_per_peer:,} connections of yours already"
        self.connections.add(connection)
        if why:
            self.refused.add(connection)
            self.metrics.refuse("too_many_connections")
        else:
            self._peers[peer] = self._peers.get(peer, 0) + 1
        if self._timer is None:
            self._look(loop)
        return why

    def may_refuse(self) -> bool:
        """Is there a place for who is told that there is none?"""
        return len(self.refused) <= REFUSALS

    def leave(self, connection: Any, peer: str) -> None:
        """It has ended."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        if connection in self.refused:
            self.refused.remove(connection)
            return
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self.connections):
            connection.look(now)
        self._timer = loop.call_later(LOOK_SECONDS, self._look, loop) if self.connections else None

    def behind(self, **given: Any) -> Any:
        """A connection of HTTP."""
        return self._making(self, **given)

    def __call__(self, **given: Any) -> Any:
        """What begins a new connection, as uvicorn asks for one."""
        return self.behind(**given) if self.context is None else Entrance(self, self.context, given)


class Entrance(asyncio.Protocol):
    """A socket until its TLS handshake is done; then a connection takes its place, and its place in the crowd."""

    def __init__(self, crowd: Crowd, context: ssl.SSLContext, given: dict[str, Any]) -> None:
        self._crowd = crowd
        self._context = context
        self._given = given
        self._loop = asyncio.get_running_loop()
        self._peer = ""
        self._early: list[bytes] = []               # what came before there was somebody who understands it
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._peer = (transport.get_extra_info("peername") or ("",))[0]
        self._transport = transport
        if self._crowd.enter(self, self._peer, self._loop):
            self._crowd.leave(self, self._peer)
            cut(transport)                          # before TLS there is nothing that could be said
            return
        transport.pause_reading()                   # which uvloop forgets when this returns
        self._task = self._loop.create_task(self._shake_hands(transport))

    async def _shake_hands(self, transport: Any) -> None:
        seconds = self._crowd.settings.head_seconds
        shaking = self._loop.create_task(self._loop.start_tls(transport, self, self._context, server_side=True,
                                                              ssl_handshake_timeout=seconds))
        try:
            await asyncio.sleep(0)                  # from here on the transport is the handshake's, whose beginning is called for;
            self._loop.call_soon(self._hand_over, transport)    # this comes behind it, and before anything is read
            # not by the handshake's own timer alone, which uvloop never sets for who leaves before it has sent a byte
            secure: Any = await asyncio.wait_for(shaking, seconds + HANDSHAKE_GRACE_SECONDS)
        except (OSError, asyncio.TimeoutError):
            self._crowd.metrics.refuse("tls")
            transport.abort()
            return
        finally:
            shaking.cancel()
            self._crowd.leave(self, self._peer)
        if secure is None or secure.is_closing():
            return
        connection = self._crowd.behind(**self._given)
        secure.set_protocol(connection)
        connection.connection_made(secure)
        for data in self._early:
            connection.data_received(data)

    def _hand_over(self, transport: Any) -> None:
        """What came before the handshake began, to who has taken this one's place."""
        early, self._early = b"".join(self._early), []
        protocol = transport.get_protocol()
        while early and protocol is not self and not transport.is_closing():
            room = protocol.get_buffer(len(early))
            size = min(len(room), len(early))
            room[:size] = early[:size]
            early = early[size:]
            protocol.buffer_updated(size)

    def look(self, _: float) -> None:
        """The handshake has its own timer."""

    def connection_lost(self, error: Exception | None) -> None:
        """Before the handshake began."""
        if self._task is not None:
            self._task.cancel()
        self._crowd.leave(self, self._peer)             # a task that never began has no end, either

    def data_received(self, data: bytes) -> None:
        self._early.append(data)


def cut(transport: Any) -> None:
    """End it, and let the system forget at once what it holds for the other side."""
    wire = transport.get_extra_info("socket")
    if wire is not None:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def backlog_of(soft: int) -> int:
    """How many connections may be accepted in one turn of the loop, with so many descriptors."""
    return max(1, min(BACKLOG_MAX, soft // 16))


def connections_of(asked: int, soft: int, used: int) -> int:
    """How many there may be, with so many descriptors of which some are used: the engine's are not for them."""
    reserve = used + min(ENGINE_DESCRIPTORS, soft // 4) + min(REFUSALS, soft // 8) + TURNS * backlog_of(soft)
    return max(1, min(asked, soft - reserve))


def ask_for_descriptors(connections: int) -> None:
    """Have the system allow as many as so many connections need, as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + descriptors()[1] + ENGINE_DESCRIPTORS + REFUSALS + TURNS * BACKLOG_MAX
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (ValueError, OSError):
            pass                # a system with a limit beside this one: there will be fewer connections


def descriptors() -> tuple[int, int]:
    """How many this process may have, and has."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/dev/fd"))
    except OSError:
        used = 64
    return (1 << 30 if soft == resource.RLIM_INFINITY else soft), used
