"""Gate: what every operation of a store passes: is it open, may it write, must writers go slower; and the write lock.

It is the lowest of the layers of a store: Gate, GroupSync, Writer, Store. The Python half of a database
(tree/database.py) is a subclass of the last; the methods that only raise NotImplementedError are its to write. Methods
with one underscore are for it alone.

Invariants
- `_bars` is empty whenever a write may just go ahead; it is the one thing the common path looks at.
- `_failure` is the first error after which nothing is written any more.

Locks, always taken in this order: sync lock, write lock, then the tree's, then a memtable's own. A signal handler, or a
finalizer that the garbage collector runs, is code of the user's in the middle of ours: it must not wait for a lock that
its own thread holds. So the first two know their owner, and who would wait for itself gets BusyError.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from lsm.contract.uninterrupted import uninterrupted
from lsm.errors import BusyError

GATE_CLOSED_FLAG = 1
GATE_FORKED_FLAG = 2
GATE_READ_ONLY_FLAG = 4
GATE_FAILED_FLAG = 8
GATE_SLOW_FLAG = 16
GATE_SHUT_FLAG = GATE_CLOSED_FLAG | GATE_FORKED_FLAG        # neither read nor written
SHUT = {GATE_CLOSED_FLAG, GATE_FORKED_FLAG}
SLOW = {GATE_SLOW_FLAG}

NAP_LEAST, NAP_MOST = 0.001, 0.05

_T = TypeVar("_T")


class Gate:
    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        """State is made here, since the Python half has an `__init__` of its own, which opens the database."""
        self = super().__new__(cls)
        self._prepare()
        return self

    def _prepare(self) -> None:
        """Make the state, with the gate closed. Each layer has its own."""
        self._bars: set[int] = {GATE_CLOSED_FLAG}                     # what an operation may be refused or slowed for
        self._failure: BaseException | None = None          # set once
        self._failing = threading.Lock()                    # taken by who sets it, and never given back
        self._write_lock = threading.RLock()
        self._holder = 0                                    # the thread that has it
        self._stand_ins: dict[int, int] = {}                # thread that works -> the one that waits for it
        self._slow_lock = threading.RLock()                 # guards what follows
        self._slow_rate = 0.0                               # bytes a second that writers may write while slow
        self._slow_debt = 0.0
        self._slowed_seconds = 0.0

    # ------------------------------------------------------------ the Python half's to write

    def _rotate(self) -> None:
        """Put a new memtable and log in the place of the full one. Called under the write lock."""
        raise NotImplementedError

    def _must_not_rotate(self) -> bool:
        """Is this thread in the middle of a change of the tree, and was called back from there?"""
        return False

    def _may_rotate(self) -> bool:
        """May another memtable be filled, or must writers wait?"""
        raise NotImplementedError

    def _wait_for_room(self) -> None:
        """Wait until a memtable has been flushed, or raise what keeps it from being."""
        raise NotImplementedError

    def _flush_up_to(self, sequence: int) -> None:
        """Wait until every write up to `sequence` is in tables, or raise what keeps it from being."""
        raise NotImplementedError

    def _refuse(self) -> None:
        """Raise what the gate is closed for."""
        raise NotImplementedError

    # ------------------------------------------------------------ the gate

    @property
    def _gate(self) -> int:
        """The bars as one number, zero when there are none."""
        return sum(tuple(self._bars))

    def _check_readable(self) -> None:
        """Raise when it is closed."""
        if self._bars and self._bars & SHUT:
            self._refuse()

    def _check_writable(self) -> None:
        """Raise when it takes no writes."""
        if self._bars and self._bars - SLOW:
            self._refuse()

    def _open_gate(self, *, read_only: bool) -> None:
        if read_only:
            self._bars.add(GATE_READ_ONLY_FLAG)
        self._bars.discard(GATE_CLOSED_FLAG)            # a child of a fork meanwhile stays one

    def _close_gate(self, *, forked: bool = False) -> None:
        """From now on every operation is refused. Waits for a write that is under way, but not in a forked child."""
        if forked:
            self._bars.add(GATE_FORKED_FLAG)
            return
        self._locked(lambda: self._bars.add(GATE_CLOSED_FLAG))

    def _fail(self, error: BaseException) -> None:
        """From now on nothing is written; the first error is the one that is kept and told."""
        if self._failing.acquire(False):
            self._failure = error
        self._bars.add(GATE_FAILED_FLAG)

    # ------------------------------------------------------------ the write lock

    def _locked(self, work: Callable[[], _T]) -> _T:
        """Call `work` with the write lock held. Taken by a `with` and nothing else, so that a signal's handler that raises leaves
        nobody waiting for ever."""
        if self._must_not_rotate():         # never so in the main thread, where handlers run
            if not self._write_lock.acquire(False):
                self._check_entry()
            try:
                return self._holding(work)
            finally:
                self._write_lock.release()
        if self._holder:
            self._check_entry()
        with self._write_lock:
            return self._holding(work)

    def _holding(self, work: Callable[[], _T]) -> _T:
        if self._holder:
            self._check_entry()             # a handler or finalizer, just when this thread had taken it
        try:
            self._holder = threading.get_ident()
            return work()
        finally:
            self._holder = 0

    def _check_entry(self) -> None:
        """Refuse who would wait for itself: who came in the middle of a write of its own thread, or of a change."""
        me = threading.get_ident()
        if self._holder == self._stand_ins.get(me, me) or self._must_not_rotate():
            raise BusyError("a signal handler or finalizer used the database in the middle of a write of its own thread: "
                            "let it set a flag, and use the database outside of it")

    # ------------------------------------------------------------ back-pressure

    def _slow(self, rate: float) -> None:
        """Let writers write so many bytes a second; 0 lets them go."""
        self._slow_rate = rate
        if rate > 0:
            self._bars.add(GATE_SLOW_FLAG)
        else:
            self._bars.discard(GATE_SLOW_FLAG)

    def _slow_down(self, size: int) -> None:
        """Sleep so that writers together write `_slow_rate` bytes a second, in naps of a millisecond or more."""
        with self._slow_lock:
            self._slow_debt += size
            seconds = self._slow_debt / self._slow_rate if self._slow_rate > 0 else 0.0
            seconds = 0.0 if seconds < NAP_LEAST else min(seconds, NAP_MOST)
            if seconds:
                self._slow_debt = 0.0
                self._slowed_seconds += seconds
        if seconds:
            time.sleep(seconds)

    # ------------------------------------------------------------ what no signal may cut in two

    def _uninterrupted(self, work: Callable[[], Any]) -> None:
        """Call `work` where no signal handler can cut it in two (lsm/contract/uninterrupted.py)."""
        uninterrupted(work, self._refuse, self._stand_ins)
