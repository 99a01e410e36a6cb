"""The HTTP service for its tests: a real server in a thread of this process, or in a process of its own that can be killed."""
import contextlib
import queue
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

import pytest

import lsm

for needed in ("fastapi", "uvicorn", "httptools"):
    pytest.importorskip(needed, reason="the HTTP service is an extra: pip install 'lsmkv[server]'")
httpx = pytest.importorskip("httpx", reason="it is a test tool: pip install 'lsmkv[test]'")

from lsm.server.app import application  # noqa: E402
from lsm.server.serve import server  # noqa: E402
from lsm.server.settings import Settings  # noqa: E402

ENGINES = ("lsm", "memory")


@dataclass
class Served:
    """A server that runs."""

    url: str
    server: Any
    engine: Any

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def client(self, **how):
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, **how)

    def socket(self, source="127.0.0.1", **how):
        return socket.create_connection(("127.0.0.1", self.port), 20, source_address=(source, 0), **how)

    def ask(self, raw, source="127.0.0.1"):
        """Everything that comes back for these bytes, until the server closes (or answers and falls silent)."""
        with self.socket(source) as wire:
            with contextlib.suppress(OSError):
                wire.sendall(raw)
            return read_all(wire)


def read_all(wire, seconds=20.0):
    """Until the other side closes."""
    wire.settimeout(seconds)
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := wire.recv(65536):
            parts.append(part)
    return b"".join(parts)


@contextlib.contextmanager
def serving(path, engine="lsm", made=lsm.open, **settings):
    """A server in a thread, over the engine that `made` makes; `settings` as in Settings."""
    opened, urls = [], queue.Queue()

    def opening():
        opened.append(made(path, engine=engine))
        return opened[0]

    one = server(application(opening, Settings(port=0, **settings)), urls.put)
    thread = threading.Thread(target=one.run, name="test-server")
    thread.start()
    try:
        yield Served(urls.get(timeout=60), one, opened[0])
    finally:
        one.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not stop"


@contextlib.contextmanager
def process(path, *arguments, engine="lsm", environment=None, before=()):
    """`lsm serve` as a process, called by the command `before`: (process, URL). Killed at the end if it still runs."""
    command = [*before, sys.executable, "-m", "lsm.cli", "serve", str(path), "--engine", engine, "--port", "0", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = child.stdout.readline()
        assert " at http" in line, line + child.stderr.read()
        yield child, line.split()[-1]
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def lines_of(response):
    """The rows of a scan's answer, and its last line."""
    import json

    assert response.status_code == 200, response.text
    *rows, last = [json.loads(line) for line in response.text.splitlines()]
    return rows, last
