"""Gathered: calls that the event loop hands to threads, many at a time.

What waits on the disk must not wait on the event loop; but handing every call to a thread costs more than a read from
memory. So calls are gathered: a thread that becomes free takes all that wait, does them together, and answers them
together. The busier it is, the more go at once, and the less each costs.

Invariants: what was accepted is done, and answered unless the loop ended; `close` waits for it. Only what was answered "too late"
before a thread took it is not done. Every call is `over()` once, when no thread has it any more; of what was answered nothing is kept.
Threads: `ask` from the event loop; `work` runs in the threads.
"""
from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

from lsm.server.budget import Hold
from lsm.server.problems import Problem, overloaded

Answers = list[tuple["Asked", Any]]                    # a call, and its value or exception
Work = Callable[[list[Any], "Reply"], None]


class Asked:
    """A call: who waits for it, and what it holds of the budget."""

    __slots__ = ("future", "hold", "pending")

    def __init__(self, hold: Hold | None) -> None:
        self.future: asyncio.Future[Any] | None = None
        self.hold = hold
        self.pending: dict[Asked, float] = {}           # where it is noted until it is answered

    def over(self) -> None:
        """No thread has it any more."""
        hold, self.hold = self.hold, None
        if hold is not None:
            hold.let_go()


class Reply:
    """How work answers its calls: as soon as each is known, all that are known in one step."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settle: Callable[[Answers], object]) -> None:
        self._loop = loop
        self._settle = settle

    def __call__(self, answers: Answers) -> None:
        """(call, value or exception) for each; from any thread."""
        if answers:
            try:
                self._loop.call_soon_threadsafe(self._settle, answers)
            except RuntimeError:
                pass            # the loop has ended: nobody waits any more


class Gathered:
    """`work(calls, reply)` for all calls that wait, in `threads` threads; `most` calls at a time, `bound` waiting."""

    def __init__(self, work: Work, name: str, threads: int = 1, most: int = 256, bound: int = 4096,
                 seconds: float = 30.0) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._reply = Reply(self._loop, self._settle)
        self._waiting: deque[Asked] = deque()
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._most = most
        self._bound = bound
        self._seconds = seconds
        self._pending: dict[Asked, float] = {}      # not answered yet, and since when; the oldest first
        self._rung = False
        self._closed = False
        self.rounds = self.calls = 0                # for metrics
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def ask(self, call: Asked) -> asyncio.Future[Any]:
        """`call.future` is made here, and settled with the answer. Raises 503 when too many wait, or after `close`."""
        if self._closed:
            raise Problem(503, "closed", "the server is stopping")
        if len(self._waiting) >= self._bound:
            raise overloaded("too many requests wait for the store: try again")
        future: asyncio.Future[Any] = self._loop.create_future()
        call.future = future
        if call.hold is not None:
            call.hold.keep()
        self._waiting.append(call)
        call.pending = self._pending
        self._pending[call] = self._loop.time()
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)        # after all that came in with this turn of the loop
        return future

    def _ring(self) -> None:
        self._rung = False
        self._bell.put(True)

    def _settle(self, answers: Answers) -> None:
        for call, answer in answers:
            call.pending.pop(call, None)            # now, not later: what lives longer costs memory, and the collector more
            future, call.future = call.future, None
            if future is not None and not future.done():
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
            call.over()

    def hand(self, calls: Sequence[Asked]) -> None:
        """Calls that have their futures, from another thread: the next stage of what was asked elsewhere."""
        self._waiting.extend(calls)
        self._bell.put(True)

    def give_up_late(self) -> None:
        """Those that wait too long get 503; what they asked for may still happen. Called now and then."""
        late = self._loop.time() - self._seconds
        for call in list(takewhile(lambda call: self._pending[call] < late, self._pending)):
            del self._pending[call]
            future = call.future
            if future is not None and not future.done():
                future.set_exception(Problem(503, "too_slow", f"the store took longer than {self._seconds:g} s; a write may "
                                                              "still happen", {"Retry-After": "5"}))

    @property
    def waiting(self) -> int:
        """Calls that no thread has taken yet."""
        return len(self._waiting)

    def _run(self) -> None:
        while True:
            going_on = self._bell.get()
            while calls := self._take():
                self.rounds += 1
                self.calls += len(calls)
                try:
                    self._work(calls, self._reply)
                except BaseException as error:      # told to those who asked; the thread goes on for the others
                    self._reply([(call, error) for call in calls])
                del calls
            if not going_on:
                return

    def _take(self) -> list[Any]:
        taken: list[Asked] = []
        given_up: list[Asked] = []
        try:
            while len(taken) < self._most:
                call = self._waiting.popleft()
                future = call.future
                (given_up if future is not None and future.done() else taken).append(call)
        except IndexError:
            pass
        self._reply([(call, None) for call in given_up])
        return taken

    def close(self) -> None:
        """Do what was accepted, and end. Blocks: not for the event loop."""
        self._closed = True
        for _ in self._threads:
            self._bell.put(False)
        for thread in self._threads:
            thread.join()
