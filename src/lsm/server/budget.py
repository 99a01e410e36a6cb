"""Budget: bytes that may be in flight at once, of all requests together: what bounds the server's memory.

Threads: the event loop alone.
"""
from __future__ import annotations

from lsm.server.problems import overloaded


class Budget:
    """So many bytes, taken and given back."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, size: int) -> None:
        """Raises the problem 503 when there are not as many left."""
        if self.used + size > self.most:
            raise overloaded("too many bytes are on their way at once: try again")
        self.used += size

    def give_back(self, size: int) -> None:
        """What was taken."""
        self.used -= size
