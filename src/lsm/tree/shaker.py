"""The tree shaker: the background thread that keeps the tree in shape.

Over and over it does the most urgent thing there is: flush a memtable that waits; a compaction somebody asked for; the
compaction that the policy chooses. While it merges, it stops every few megabytes to flush what has filled up
meanwhile, so that writers need not wait for a long merge.

Back-pressure: tables in level 0 from `slowdown_tables` on slow the writers down, to less and less of the rate at which
compaction takes up data; at `stop_tables`, or with SEALED_MAX memtables waiting, a writer that needs a new memtable
waits. Slowing comes first, so that waiting is rare and short.

Errors: the first one is kept and raised to every writer that waits. Lack of room or memory passes: the shaker tries
again when a writer comes to wait, or after a second. After anything else the store takes no more writes.

Threads: `changed` guards what is shared. Without a thread (`background=False`, for tests that must be repeatable) the
writers do the shaker's work themselves, at the same points.
"""
from __future__ import annotations

import logging
import threading
import time
import traceback
import weakref
from collections.abc import Callable

from lsm.errors import ClosedError
from lsm.tree.compact import Pace, carry_out
from lsm.tree.compaction import NOTHING, Choice, Merge, Nothing, Policy, merge_everything
from lsm.tree.flush import flush_oldest
from lsm.tree.tree import SEALED_MAX, Tree, passes

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
        self.changed = threading.Condition()
        self.error: BaseException | None = None
        self.stopping = False
        self.compactions_wanted = 0         # asked for by compact()
        self.compactions_done = 0
        self.stalls = 0
        self.stall_seconds = 0.0
        self.longest_stall_seconds = 0.0
        self.thread: threading.Thread | None = None
        if background:
            self.thread = threading.Thread(target=_run, args=(weakref.ref(self), self.changed),
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
        elif self.compactions_wanted > self.compactions_done:
            wanted = self.compactions_wanted
            self._carry_out(everything(tree))
            self.compactions_done = wanted
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
        except Stopping:
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

    def tell(self) -> None:
        with self.changed:
            self.changed.notify_all()

    # ------------------------------------------------------------ for writers and the database

    def has_work(self) -> bool:
        """Is anything waiting that came from outside?"""
        return bool(self.tree.sealed) or self.compactions_wanted > self.compactions_done

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

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done`, or raise what keeps it from coming true. Ctrl-C ends the waiting, not the work."""
        if self.thread is None:
            self.shake()
            return
        with self.changed:
            failed_before = self.error
            self.changed.notify_all()
            while not done():
                if self.tree.store._failure is not None:
                    self.tree.store._refuse()
                if self.stopping or not self.thread.is_alive():
                    raise ClosedError("the database was closed while this waited")
                if self.error is not None and self.error is not failed_before:
                    raise self.error
                self.changed.wait(0.5)

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
        with self.changed:
            self.compactions_wanted += 1
            wanted = self.compactions_wanted
        self.wait(lambda: self.compactions_done >= wanted)

    def tidy(self) -> None:
        """At close, with the thread ended: what is soon done of what the policy would do, so that a database that is
        never open for long does not gather tables."""
        self.stopping = False
        for _ in range(TIDY_CHOICES):
            choice = self.policy.choose(self.tree.version, self.tree.options)
            if isinstance(choice, Nothing) or cost(self.tree, choice) > TIDY_BYTES:
                return
            carry_out(self.tree, choice, lambda: None)

    def stop(self, seconds: float = 30.0) -> bool:
        """End the thread; a merge under way is given up, a flush is finished. Has it ended?"""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        if self.thread is not None and self.thread is not threading.current_thread():
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


def _run(reference: weakref.ref[Shaker], changed: threading.Condition) -> None:
    """The thread. It holds the shaker only while there is work, so that a forgotten database can be collected."""
    while True:
        shaker = reference()
        if shaker is None or shaker.stopping:
            return
        pause = 0.0
        try:
            if not shaker.work():
                pause = IDLE_SECONDS
        except BaseException:
            if shaker.tree.store._failure is not None:
                return
            pause = RETRY_SECONDS
        with changed:
            if pause == IDLE_SECONDS and shaker.has_work():
                pause = 0.0                 # it came between the look and the lock
            stopping = shaker.stopping
            del shaker
            if pause and not stopping:
                changed.wait(pause)
