"""Budget: bytes that may be in flight at once, of all requests together and of those of one peer: what bounds the server's memory.

A `Hold` is what one request has of it. Who works on its bytes keeps it, the request itself and any thread it asked; when the last
one lets go, the bytes are given back: so an answer that was given up gives back nothing that a thread still has.

Threads: any.
"""
from __future__ import annotations

import threading

from lsm.server.problems import overloaded

LARGE_BYTES = 64 << 10      # values and answers from here on are counted; to hash or to encode them is not the event loop's


class Budget:
    """So many bytes, taken and given back; a peer may have `most_of_peer` of them."""

    def __init__(self, most: int, most_of_peer: int) -> None:
        self.most = most
        self.most_of_peer = most_of_peer
        self.used = 0
        self._of_peers: dict[str, int] = {}
        self._lock = threading.Lock()

    def of_peer(self, peer: str) -> int:
        """What this one has."""
        return self._of_peers.get(peer, 0)

    def take(self, peer: str, size: int) -> bool:
        """Answers whether there were as many left."""
        with self._lock:
            own = self._of_peers.get(peer, 0) + size
            if self.used + size > self.most or own > self.most_of_peer:
                return False
            self.used += size
            self._of_peers[peer] = own
            return True

    def give_back(self, peer: str, size: int) -> None:
        """What was taken."""
        with self._lock:
            self.used -= size
            left = self._of_peers.pop(peer) - size
            if left:
                self._of_peers[peer] = left


class Hold:
    """The bytes of one request."""

    __slots__ = ("_budget", "_lock", "_peer", "_users", "size")

    def __init__(self, budget: Budget, peer: str) -> None:
        self._budget = budget
        self._peer = peer
        self._users = 1                 # who made it
        self._lock = threading.Lock()
        self.size = 0

    def try_grow(self, size: int) -> bool:
        """To have so many at least. Answers whether there were as many left."""
        with self._lock:
            if size > self.size:
                if not self._budget.take(self._peer, size - self.size):
                    return False
                self.size = size
            return True

    def grow(self, size: int) -> None:
        """To have so many at least. Raises the problem 503 when there are not as many left."""
        if not self.try_grow(size):
            raise overloaded("too many bytes are on their way at once, in all or of yours: try again")

    def shrink(self, size: int) -> None:
        """To have no more than these."""
        with self._lock:
            if size < self.size:
                self._budget.give_back(self._peer, self.size - size)
                self.size = size

    def keep(self) -> None:
        """One more works on it."""
        with self._lock:
            self._users += 1

    def let_go(self) -> None:
        """One less; with the last one all is given back."""
        with self._lock:
            self._users -= 1
            if not self._users and self.size:
                self._budget.give_back(self._peer, self.size)
                self.size = 0
