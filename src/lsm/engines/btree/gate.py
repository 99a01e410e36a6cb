"""Gate: many readers, or one who changes what they read in. Who comes when a change is wanted waits behind it, so readers,
however many and quick, cannot keep it from coming.

Invariants
- Who reads holds one of a few locks meanwhile, who changes all of them. Each is taken by a `with` and nothing else: so a
  signal's handler that raises leaves none behind.
- Who holds one, and is here again by a handler or a finalizer, must not wait for a change that waits for him.

Threads: any.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import count
from threading import RLock, get_ident

from lsm.errors import BusyError

READ_LOCKS = 8                          # few are asked for often, none by many threads


class Gate:
    """Of one environment. Its readings, and the changes for which nobody may be reading in it."""

    def __init__(self) -> None:
        self._locks = tuple(RLock() for _ in range(READ_LOCKS))
        self._numbers = count()
        self._turn = RLock()            # of the change that is wanted, until it is made
        self._wanted = False
        self._changer = 0               # the thread that changes

    def lock(self) -> RLock:
        """For a reading by this thread; threads seldom share one. Who reads already is given the lock that he has."""
        for lock in self._locks:
            if lock._is_owned():                        # type: ignore[attr-defined]
                return lock
        if self._wanted:
            with self._turn:
                pass
        return self._locks[(get_ident() >> 12) % READ_LOCKS]

    def next_lock(self) -> RLock:
        """For all readings of one moment: one thread at a time uses a transaction. `check_entry` comes before each."""
        return self._locks[next(self._numbers) % READ_LOCKS]

    def _is_reading(self) -> bool:
        return any(lock._is_owned() for lock in self._locks)        # type: ignore[attr-defined]

    def check_change(self) -> None:
        """Refuse who would read in the middle of a change by his own thread."""
        if self._changer:
            self.check_entry()

    def check_entry(self) -> None:
        """Refuse who would wait for itself: a handler or finalizer in the middle of a reading, or a change, of its thread."""
        if self._changer == get_ident() or self._is_reading():
            raise BusyError("a signal handler or finalizer used the database in the middle of a reading of its own thread: let "
                            "it set a flag, and use the database outside of it")
        if self._wanted:
            with self._turn:
                pass

    def alone(self, change: Callable[[], object]) -> None:
        """Change, with nobody reading. One at a time."""
        with self._turn:
            try:
                self._wanted = True
                self._alone(READ_LOCKS, change)
            finally:
                self._wanted = False

    def _alone(self, locks: int, change: Callable[[], object]) -> None:
        if locks:
            with self._locks[locks - 1]:
                self._alone(locks - 1, change)
        else:
            try:
                self._changer = get_ident()
                change()
            finally:
                self._changer = 0
