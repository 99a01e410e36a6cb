"""Moments: snapshots with a lifetime, by names that cannot be guessed. There are only so many, and each ends by itself.

A request that uses a snapshot holds it: what expires meanwhile is closed when the last such request is done.
Threads: the event loop; snapshots are made and closed in threads of the store.
"""
from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lsm.server.problems import Problem, not_found
from lsm.server.store import Store


class Held:
    """A snapshot and its time."""

    def __init__(self, snapshot: Any, seconds: float) -> None:
        self.snapshot = snapshot
        self.name = secrets.token_urlsafe(16)
        self.seconds = seconds
        self.expires = time.monotonic() + seconds
        self.users = 0
        self.over = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def left(self) -> float:
        """Seconds it still has."""
        return max(0.0, self.expires - time.monotonic())


class Moments:
    """The snapshots of a server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Held] = {}
        self._opening = 0
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._held)

    async def open(self, seconds: float) -> Held:
        """A snapshot of now."""
        most = self._store.settings.snapshots
        if len(self._held) + self._opening >= most:
            raise Problem(429, "too_many_snapshots", f"there are {most} snapshots: delete one, or wait until one expires",
                          {"Retry-After": "5"})
        self._opening += 1
        try:
            held = Held(await self._store.run(self._store.engine.snapshot), seconds)
        finally:
            self._opening -= 1
        self._held[held.name] = held
        held.timer = asyncio.get_running_loop().call_later(seconds, self._end, held)
        return held

    def find(self, name: str) -> Held:
        """The snapshot of that name. Raises the problem 404."""
        held = self._held.get(name)
        if held is None:
            raise not_found("there is no such snapshot; or it has expired: make another one")
        return held

    @asynccontextmanager
    async def using(self, name: str | None) -> AsyncIterator[Any]:
        """The snapshot of that name, held for the block; for None, None."""
        if name is None:
            yield None
            return
        held = self.find(name)
        held.users += 1
        try:
            yield held.snapshot
        finally:
            held.users -= 1
            self._close_if_done(held)

    def delete(self, name: str) -> None:
        """End it before its time."""
        self._end(self.find(name))

    def _end(self, held: Held) -> None:
        self._held.pop(held.name, None)
        if held.timer is not None:
            held.timer.cancel()
        held.over = True
        self._close_if_done(held)

    def _close_if_done(self, held: Held) -> None:
        if held.over and not held.users:
            task = asyncio.get_running_loop().create_task(self._store.run(held.snapshot.close))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all of them."""
        for held in list(self._held.values()):
            held.users = 0
            self._end(held)
        await asyncio.gather(*self._closing, return_exceptions=True)
