"""Background: the thread that does what a database has to do beside its users: flushing, compaction, merging.

Over and over it does one `step`, the most urgent thing there is. What that is, a subclass says.

Errors: the first one is kept and raised to every writer that waits. Lack of room or memory passes: what the database needs is
tried again when a writer comes to wait, or after a second; the merge that `compact()` asked for is not, it would fill the disk
under the writers again and again: who called is told, and may ask again. After anything else the store takes no more writes.

Threads: `bell` rings when anything has changed; nothing here is guarded by a lock: of what is shared each attribute is
written by one thread, or in one step. Without a thread (`background=False`, for tests that must be repeatable) the
writers do its work themselves, at the same points.
"""
from __future__ import annotations

import errno
import logging
import threading
import time
import traceback
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from lsm.bell import Bell
from lsm.errors import BusyError, ClosedError, Error, StorageError

logger = logging.getLogger("lsm")

RETRY_SECONDS = 1.0
IDLE_SECONDS = 60.0
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Stopping(Exception):
    """The database is being closed: leave the work where it is."""


class Dropped(Error):
    """Nobody has the database any more: what is not yet done stays for the next open."""


def passes(error: BaseException) -> bool:
    """Is it lack of room, of memory or of descriptors, after which the same may be tried again?"""
    return isinstance(error, MemoryError) or (
        isinstance(error, StorageError) and error.errno in PASSING and not error.lasting)


class Wish:
    """One compact() that waits for its merge."""

    error: BaseException | None = None          # why there is none


class Background(ABC):
    def __init__(self, name: str, background: bool) -> None:
        self.bell = Bell()
        self.error: BaseException | None = None
        self.stopping = False
        self.wanted: dict[Wish, None] = {}      # merges that are asked for
        self.stalls = 0
        self.stall_seconds = 0.0
        self.longest_stall_seconds = 0.0
        self.ended = [False]                    # does the thread do no more work? It holds this, and not `self`
        self.thread: threading.Thread | None = None
        if background:
            self.thread = threading.Thread(target=_run, args=(weakref.ref(self), self.bell, self.ended), name=name, daemon=True)
            self.thread.start()

    # ------------------------------------------------------------ what a subclass says

    @property
    @abstractmethod
    def store(self) -> Any:
        """The database. Raises Dropped."""

    @abstractmethod
    def step(self) -> bool:
        """Do the most urgent thing; False when there is nothing to do."""

    @abstractmethod
    def has_work(self) -> bool:
        """Is anything waiting that came from outside?"""

    @abstractmethod
    def may_rotate(self) -> bool:
        """Is there room for writers to begin another memtable or file?"""

    # ------------------------------------------------------------ the work

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
            logger.warning("work on the files goes on after: %s", str(self.error) or type(self.error).__name__)
            self.error = None
        self.tell()
        return busy

    def _failed(self, error: BaseException) -> None:
        if self.error is None:
            logger.error("work on the files failed: %s", str(error) or type(error).__name__)
        traceback.clear_frames(error.__traceback__)     # they hold the tables of the work that failed, files and all
        self.error = error
        if not passes(error):
            self.store._fail(error)
        self.tell()

    def grant(self, merge: Callable[[], object]) -> None:
        """Do the merge that is wanted; who asks from here on waits for another. It is tried once, whether or not who asked
        still waits; but for one that closing cut short, for which nobody waits any more."""
        wanted = self.wanted.copy()
        try:
            merge()
        except (Stopping, Dropped):
            raise
        except BaseException as error:
            for wish in wanted:
                wish.error = error
                self.wanted.pop(wish, None)
            raise
        for wish in wanted:
            self.wanted.pop(wish, None)

    def failed(self) -> bool:
        """Is nothing changed any more?"""
        try:
            return self.store._failure is not None
        except Dropped:
            return True

    def tell(self) -> None:
        self.bell.ring()

    # ------------------------------------------------------------ for writers and the database

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
            if self.store._failure is not None or self.store._gate & self.store.core.GATE_FORKED_FLAG:
                self.store._refuse()
            if self.stopping or self.ended[0]:
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
                self.bell.ring()                # whatever came between the worker's look at things and its sleep

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
        """Merge all there is. Ctrl-C ends the waiting, not the work; an error of the work ends both."""
        wish = Wish()
        self.wanted[wish] = None

        def done() -> bool:
            if wish in self.wanted:
                return False
            if wish.error is not None and passes(wish.error):
                raise wish.error
            return wish.error is None           # else the store is about to refuse

        try:
            self.wait(done)
        except (Error, MemoryError):        # of the work, also of what has to come before the merge
            self.wanted.pop(wish, None)
            raise

    def stop(self, seconds: float = 30.0) -> bool:
        """End the thread; a merge under way is given up, a flush is finished. Has it ended?"""
        self.stopping = True
        self.bell.ring()
        if self.thread is None or self.is_this_thread():
            return True
        deadline = time.monotonic() + seconds
        while not self.ended[0] and time.monotonic() < deadline:
            self.bell.wait(lambda: self.ended[0], max(0.0, min(0.5, deadline - time.monotonic())))
        if self.ended[0]:
            self.thread.join(seconds)           # it has nothing left to do but to end
        return self.ended[0]


def _run(reference: weakref.ref[Background], bell: Bell, ended: list[bool]) -> None:
    """The thread. `ended` says that it is at its end: of a thread in whose `is_alive` or `join` a signal's handler raised,
    Python tells that it has ended while it goes on (bpo-45274)."""
    try:
        _work(reference, bell)
    finally:
        ended[0] = True                         # takes no memory
        bell.ring()


def _work(reference: weakref.ref[Background], bell: Bell) -> None:
    """Until nobody has the database any more, or it is being closed, or failed."""
    while True:
        try:
            if not _turn(reference, bell):
                return
        except (MemoryError, RuntimeError):     # no memory, for a lock to wait by (which Python tells so) or for what to tell
            time.sleep(RETRY_SECONDS)


def _turn(reference: weakref.ref[Background], bell: Bell) -> bool:
    """Work once, or wait for some; False at the end. The worker is held only meanwhile: a forgotten database can be collected."""
    worker = reference()
    if worker is None or worker.stopping:
        return False
    seconds = 0.0
    try:
        if not worker.work():
            seconds = IDLE_SECONDS
    except BaseException:
        if worker.failed():
            return False
        seconds = RETRY_SECONDS
    del worker
    if seconds:
        bell.wait(lambda: _is_called(reference, seconds == RETRY_SECONDS), seconds)
    return True


def _is_called(reference: weakref.ref[Background], retrying: bool) -> bool:
    """Has the thread been called since it looked for work? What failed is not a call: it is tried again later."""
    worker = reference()
    return worker is None or worker.stopping or not retrying and worker.has_work()
