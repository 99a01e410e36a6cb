"""Serve: a server run until it is told to stop.

SIGTERM and SIGINT stop it: nothing new is accepted, what was accepted is finished within `stop_seconds`, the database is closed.
A second SIGINT ends it at once. The database is as after kill -9 then: nothing acknowledged is lost.

Threads: `run` belongs to the main thread.
"""
from __future__ import annotations

import gc
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import uvicorn

from lsm.server.connection import Crowd
from lsm.server.door import Door

class Server(uvicorn.Server):
    """A uvicorn server that says where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, told: Callable[[str], object]) -> None:
        super().__init__(config)
        self._told = told

    def _log_started_message(self, listeners: Any) -> None:
        host, port = listeners[0].getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._told(f"{'https' if self.config.is_ssl else 'http'}://{place}")


def server(door: Door, told: Callable[[str], object]) -> Server:
    """A server of this application. `told` is called with its URL once it listens."""
    settings = door.service.settings
    config = uvicorn.Config(
        door, host=settings.host, port=settings.port, http=Crowd(settings, door.service.metrics), ws="none",    # type: ignore[arg-type]
        loop="uvloop" if find_spec("uvloop") else "asyncio", lifespan="on", access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_keep_alive=round(settings.idle_seconds),
        timeout_graceful_shutdown=round(settings.stop_seconds), backlog=settings.connections,
        ssl_certfile=settings.certificate, ssl_keyfile=settings.certificate_key)
    return Server(config, told)


def run(door: Door, told: Callable[[str], object] = print) -> bool:
    """Serve until told to stop. Answers whether it came to listen at all."""
    def begun(url: str) -> None:
        gc.collect()
        gc.freeze()         # what is there now stays: looking through it again and again was 20 ms in the slowest hundredth
        told(url)

    one = server(door, begun)
    try:
        one.run()
    except (KeyboardInterrupt, SystemExit):
        pass                # uvicorn raises the signals it has obeyed once more; or it could not listen, and has said so
    return one.started
