"""Service: a store and what stands around it while a server runs. Opened and closed on the event loop.

Owner: it has everything of a running server but its connections.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable

import lsm
from lsm.server.budget import Budget
from lsm.server.jobs import Jobs
from lsm.server.metrics import Metrics
from lsm.server.moments import Moments
from lsm.server.settings import Settings
from lsm.server.store import Store


class Service:
    """`opening` answers the engine; it is called, in a thread, when the server starts."""

    store: Store
    moments: Moments
    jobs: Jobs

    def __init__(self, opening: Callable[[], lsm.Engine], settings: Settings) -> None:
        self._opening = opening
        self.settings = settings
        self.metrics = Metrics()
        self.budget = Budget(settings.in_flight_bytes, settings.in_flight_bytes_per_peer)
        self.scans = 0              # at work now
        self.ready = False

    async def open(self) -> None:
        """From now on there is a store."""
        engine = await asyncio.to_thread(self._opening)
        self.store = Store(engine, self.settings)
        self.moments = Moments(self.store)
        self.jobs = Jobs(self.store)
        self.ready = True

    async def close(self) -> None:
        """Finish what was accepted, and close the database."""
        self.ready = False
        await self.jobs.close()
        await self.moments.close()
        await self.store.close()
