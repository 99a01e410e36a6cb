"""Bell: for threads that wait until another one has done something.

Nobody ever holds a lock here: not while it looks whether what it waits for has come, nor while it rings. A signal
handler, or a finalizer that the garbage collector runs, may come between any two steps of Python code, and may wait for
a thread that wants to ring; with a condition variable it could find the lock taken by the code it interrupted.

Invariant: who looked after being entered, and saw nothing, is woken by every later ring. Threads: any.
"""
from __future__ import annotations

import _thread
from collections.abc import Callable


class Bell:
    def __init__(self) -> None:
        self._waiting: dict[_thread.LockType, None] = {}

    def ring(self) -> None:
        """Wake all who wait now."""
        for rung in list(self._waiting):
            if self._waiting.pop(rung, 0) is None:      # else another thread rings too, or it waits no more
                rung.release()

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Wait for a ring, at most so long; not at all if it is `ready` already. False when nothing of that came."""
        rung = _thread.allocate_lock()
        rung.acquire()
        try:
            self._waiting[rung] = None
            return ready() or rung.acquire(True, seconds)
        finally:
            self._waiting.pop(rung, None)
