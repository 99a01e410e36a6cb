"""Serve: a server run until it is told to stop.

SIGTERM and SIGINT stop it: nothing new is accepted, what was accepted is finished within `stop_seconds`, the database is closed.
A second SIGINT ends it at once. The database is as after kill -9 then: nothing acknowledged is lost.

Threads: `run` belongs to the main thread.
"""
from __future__ import annotations

import gc
import logging
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import uvicorn

from lsm.server.connection import Connection
from lsm.server.door import Door
from lsm.server.entrance import Crowd, ask_for_descriptors, backlog_of, connections_of, descriptors
from lsm.server.settings import Settings

logger = logging.getLogger("lsm.server")

class Server(uvicorn.Server):
    """A uvicorn server that says where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, told: Callable[[str], object], scheme: str) -> None:
        super().__init__(config)
        self._scheme = scheme
        self._told = told

    def _log_started_message(self, listeners: Any) -> None:
        host, port = listeners[0].getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._told(f"{self._scheme}://{place}")


def server(door: Door, told: Callable[[str], object]) -> Server:
    """A server of this application. `told` is called with its URL once it listens."""
    settings = door.service.settings
    soft, used = descriptors()
    most = connections_of(settings.connections, soft, used)
    if most < settings.connections:
        logger.warning("%d connections instead of %d: this process may have %d descriptors (ulimit -n)", most,
                       settings.connections, soft)
    crowd = Crowd(settings, door.service.metrics, Connection, most, _context(settings))
    config = uvicorn.Config(
        door, host=settings.host, port=settings.port, http=crowd, ws="none",    # type: ignore[arg-type]
        loop="uvloop" if find_spec("uvloop") else "asyncio", lifespan="on", access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_keep_alive=round(settings.idle_seconds),
        timeout_graceful_shutdown=round(settings.stop_seconds), backlog=backlog_of(soft))
    return Server(config, told, "http" if settings.certificate is None else "https")


def _context(settings: Settings) -> ssl.SSLContext | None:
    """For TLS, None without a certificate. Not uvicorn's: it would count connections after their handshake."""
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.certificate_key)
    return context


def run(door: Door, told: Callable[[str], object] = print) -> bool:
    """Serve until told to stop. Answers whether it came to listen at all."""
    def begun(url: str) -> None:
        gc.collect()
        gc.freeze()         # what is there now stays: looking through it again and again was 20 ms in the slowest hundredth
        told(url)

    ask_for_descriptors(door.service.settings.connections)
    try:
        one = server(door, begun)
    except OSError as error:            # the certificate: it is not there, or is none
        logger.error("TLS: %s", error)
        return False
    try:
        one.run()
    except (KeyboardInterrupt, SystemExit):
        pass                # uvicorn raises the signals it has obeyed once more; or it could not listen, and has said so
    return one.started
