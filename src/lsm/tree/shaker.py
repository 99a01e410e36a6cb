"""The tree shaker: the background thread that keeps the tree in shape.

Over and over it does the most urgent thing there is: flush a memtable that waits; a compaction somebody asked for; the
compaction that the policy chooses. While it merges, it stops every few megabytes to flush what has filled up
meanwhile, so that writers need not wait for a long merge.

Back-pressure: tables in level 0 from `slowdown_tables` on slow the writers down, to less and less of the rate at which
compaction takes up data; at `stop_tables`, or with SEALED_MAX memtables waiting, a writer that needs a new memtable
waits. Slowing comes first, so that waiting is rare and short.

Errors: the first one is kept and raised to every writer that waits. Lack of room or memory passes: the shaker tries
again when a writer comes to wait, or after a second. After anything else the store takes no more writes.

Threads: `bell` rings when anything has changed; nothing here is guarded by a lock: of what is shared each attribute is
written by one thread, or in one step. Without a thread (`background=False`, for tests that must be repeatable) the
writers do the shaker's work themselves, at the same points.
"""
from __future__ import annotations

import logging
import threading
import time
import traceback
import weakref
from collections.abc import Callable

from lsm.errors import BusyError, ClosedError
from lsm.tree.bell import Bell
from lsm.tree.compact import Pace, carry_out
from lsm.tree.compaction import NOTHING, Choice, Merge, Nothing, Policy, merge_everything
from lsm.tree.flush import flush_oldest
from lsm.tree.tree import SEALED_MAX, Dropped, Tree, passes

logger = logging.getLogger("lsm")

RETRY_SECONDS = 1.0
IDLE_SECONDS = 60.0
TIDY_CHOICES = 4            # compactions done at close, and the bytes that each may read
TIDY_BYTES = 8 << 20
SLOWEST = 1e6               # bytes a second that writers may always write while level 0 is below stop_tables


class Stopping(Exception):
    """The database is being closed: leave the merge where it is."""


class Shaker:
    def __init__(self, tree: Tree, policy: Policy, background: bool) -> None:
        self.tree = tree
        self.policy = policy
        self.pace = Pace()
        self.bell = Bell()
        self.error: BaseException | None = None
        self.stopping = False
        self.wanted: dict[object, None] = {}    # a token for each compact() that waits for its merge
        self.stalls = 0
        self.stall_seconds = 0.0
        self.longest_stall_seconds = 0.0
        self.thread: threading.Thread | None = None
        if background:
            self.thread = threading.Thread(target=_run, args=(weakref.ref(self), self.bell),
                                           name="lsm tree shaker", daemon=True)
            self.thread.start()

    # ------------------------------------------------------------ the work

    def step(self) -> bool:
        """Do the most urgent thing; False when there is nothing to do."""
        tree = self.tree
        if tree.store._failure is not None:
            return False                        # which files count is not known: nothing is changed any more
        if tree.sealed:
            flush_oldest(tree)
        elif self.wanted:
            wanted = self.wanted.copy()         # who asks from here on waits for another merge
            self._carry_out(everything(tree))
            for token in wanted:
                self.wanted.pop(token, None)
        else:
            choice = self.policy.choose(tree.version, tree.options)
            if isinstance(choice, Nothing):
                return False
            self._carry_out(choice)
        self.set_pressure()
        return True

    def _carry_out(self, choice: Choice) -> None:
        self.pace.measure(self.tree, lambda: carry_out(self.tree, choice, self._pause))

    def _pause(self) -> None:
        """Between two steps of a merge: end it if the database is closing, flush what waits."""
        if self.stopping:
            raise Stopping
        while self.tree.sealed:
            flush_oldest(self.tree)
            self.set_pressure()
            self.tell()

    def set_pressure(self) -> None:
        """Slow writers as level 0 fills up: from the rate of compaction down to SLOWEST."""
        options = self.tree.options
        over = len(self.tree.version.levels[0]) - options.slowdown_tables
        if over < 0:
            self.tree.store._slow(0)
        else:
            left = 1 - over / (options.stop_tables - options.slowdown_tables)
            self.tree.store._slow(max(SLOWEST, self.pace.rate * left))

    def work(self) -> bool:
        """Do one thing, if there is one, and record how it ended; what goes wrong is kept for the writers."""
        try:
            busy = self.step()
        except (Stopping, Dropped):
            return False
        except BaseException as error:
            self._failed(error)
            raise
        if self.error is not None:
            logger.warning("work on the tree goes on after: %s", str(self.error))
            self.error = None
        self.tell()
        return busy

    def _failed(self, error: BaseException) -> None:
        if self.error is None:
            logger.error("work on the tree failed: %s", str(error))
        traceback.clear_frames(error.__traceback__)     # they hold the tables of the work that failed, files and all
        self.error = error
        if not passes(error):
            self.tree.store._fail(error)
        self.tell()

    def failed(self) -> bool:
        """Is nothing changed any more?"""
        try:
            return self.tree.store._failure is not None
        except Dropped:
            return True

    def tell(self) -> None:
        self.bell.ring()

    # ------------------------------------------------------------ for writers and the database

    def has_work(self) -> bool:
        """Is anything waiting that came from outside?"""
        return bool(self.tree.sealed or self.wanted)

    def may_rotate(self) -> bool:
        """Is there room for another memtable?"""
        if self.thread is None:
            self.shake()
        return (len(self.tree.sealed) < SEALED_MAX
                and len(self.tree.version.levels[0]) < self.tree.options.stop_tables)

    def shake(self) -> None:
        """Without a thread: do all there is to do, now."""
        while self.work():
            pass

    def is_this_thread(self) -> bool:
        return self.thread is not None and self.thread.ident == threading.get_ident()

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done`, or raise what keeps it from coming true. Ctrl-C ends the waiting, not the work."""
        if self.thread is None:
            self.shake()
            return
        failed_before = self.error

        def over() -> bool:
            if done():
                return True
            if self.tree.store._failure is not None:
                self.tree.store._refuse()
            if self.stopping or not self.thread.is_alive():     # type: ignore[union-attr]
                raise ClosedError("the database was closed while this waited")
            if self.error is not None and self.error is not failed_before:
                raise self.error
            if self.is_this_thread():
                raise BusyError("the background thread of the database cannot wait for itself: a policy, a logging handler "
                                "or a finalizer wrote to it, flushed or compacted it there; do that in another thread")
            return False

        self.bell.ring()
        while not over():
            if not self.bell.wait(over, 0.5):
                self.bell.ring()                # whatever came between the shaker's look at things and its sleep

    def wait_for_room(self) -> None:
        begun = time.monotonic()
        try:
            self.wait(self.may_rotate)
        finally:
            seconds = time.monotonic() - begun
            self.stalls += 1
            self.stall_seconds += seconds
            self.longest_stall_seconds = max(self.longest_stall_seconds, seconds)

    def compact(self) -> None:
        """Merge all there is into one sorted run."""
        token = object()
        self.wanted[token] = None
        self.wait(lambda: token not in self.wanted)

    def tidy(self) -> None:
        """At close, with the thread ended: what is soon done of what the policy would do, so that a database that is
        never open for long does not gather tables."""
        for _ in range(TIDY_CHOICES):
            choice = self.policy.choose(self.tree.version, self.tree.options)
            if isinstance(choice, Nothing) or cost(self.tree, choice) > TIDY_BYTES:
                return
            carry_out(self.tree, choice, lambda: None)

    def stop(self, seconds: float = 30.0) -> bool:
        """End the thread; a merge under way is given up, a flush is finished. Has it ended?"""
        self.stopping = True
        self.bell.ring()
        if self.thread is not None and not self.is_this_thread():
            self.thread.join(seconds)
            return not self.thread.is_alive()
        return True


def cost(tree: Tree, choice: Choice) -> int:
    """Bytes that carrying out a choice reads."""
    inputs = set(choice.inputs) if isinstance(choice, Merge) else set()
    return sum(meta.size for meta in tree.version.tables() if meta.number in inputs)


def everything(tree: Tree) -> Choice:
    """The merge that compact() asks for: none when there is one sorted run and nothing in it to drop."""
    choice = merge_everything(tree.version)
    if isinstance(choice, Merge):
        used = [tables for tables in tree.version.levels if tables]
        settled = all(meta.max_sequence == 0 and meta.tombstones == 0 for tables in used for meta in tables)
        if len(used) == 1 and not tree.version.levels[0] and settled:
            return NOTHING
    return choice


def _run(reference: weakref.ref[Shaker], bell: Bell) -> None:
    """The thread. It holds the shaker only while there is work, so that a forgotten database can be collected."""
    while True:
        shaker = reference()
        if shaker is None or shaker.stopping:
            return
        seconds = 0.0
        try:
            if not shaker.work():
                seconds = IDLE_SECONDS
        except BaseException:
            if shaker.failed():
                return
            seconds = RETRY_SECONDS
        del shaker
        if seconds:
            retrying = seconds == RETRY_SECONDS
            bell.wait(lambda: _is_called(reference, retrying), seconds)     # noqa: B023  # it is called at once


def _is_called(reference: weakref.ref[Shaker], retrying: bool) -> bool:
    """Has the thread been called since it looked for work? What failed is not a call: it is tried again later."""
    shaker = reference()
    return shaker is None or shaker.stopping or not retrying and shaker.has_work()
