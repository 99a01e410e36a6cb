"""Attempts: wrong tokens, counted by peer, so that nobody may go on guessing.

Threads: the event loop alone.
"""
from __future__ import annotations

import time

from lsm.server.problems import Problem

WINDOW_SECONDS = 60.0
PEERS_MAX = 4096            # remembered at once; then the oldest are forgotten


class Attempts:
    """How often each peer was wrong lately."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._wrong: dict[str, tuple[float, int]] = {}      # peer: since when, how often

    def check(self, peer: str) -> None:
        """Raises the problem 429 for a peer that was wrong too often."""
        since, count = self._wrong.get(peer, (0.0, 0))
        if count >= self._most and time.monotonic() - since < WINDOW_SECONDS:
            raise Problem(429, "too_many_attempts", "too many wrong tokens: try again in a minute", {"Retry-After": "60"})

    def note(self, peer: str) -> None:
        """One more."""
        now = time.monotonic()
        since, count = self._wrong.pop(peer, (now, 0))
        if now - since >= WINDOW_SECONDS:
            since, count = now, 0
        self._wrong[peer] = since, count + 1
        if len(self._wrong) > PEERS_MAX:
            del self._wrong[next(iter(self._wrong))]
