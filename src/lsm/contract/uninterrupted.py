"""Uninterrupted: a change that no signal's handler cuts in two.

Handlers run in the main thread, between any two steps of its code, and may raise. A change that must not stop half way for
that is made by another thread, while the main thread waits; what a handler raised meanwhile is raised when it is made.

Threads: any. One that is not the main thread makes the change itself.
"""
from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

LOOK_SECONDS = 0.5              # between two looks whether this is the child of a fork by now

_process = object()             # another one in the child of a fork; looking at it takes no memory


def _left_by_fork() -> None:
    global _process
    _process = object()


os.register_at_fork(after_in_child=_left_by_fork)


class _Change:
    """One change, and who makes it: the first in `claims`. Once the other thread runs telling takes no memory: else the main one
    would wait for want of it."""

    def __init__(self, work: Callable[[], object], left: Callable[[], object]) -> None:
        self.work = work
        self.left = left                # raises, in the child of a fork that a handler made: the other thread is not there
        self.process = _process
        self.claims: list[str] = []
        self.over = False               # the other thread has ended
        self.made = False               # the change, to its end
        self.raised: BaseException | None = None
        self.done = _thread.allocate_lock()
        self.done.acquire()

    def make(self, another: int, stand_ins: MutableMapping[int, int]) -> None:
        """The other thread. Whatever raises, for want of memory too, is told: the main thread waits for the end."""
        me = 0
        try:
            self.claims.append("other")
            if self.claims[0] != "other":
                return                  # the main thread has given up, before this one came to run
            me = threading.get_ident()
            stand_ins[me] = another
            self.work()
            self.made = True
        except BaseException as error:
            self.raised = error
        finally:
            try:
                stand_ins.pop(me, None)
            finally:
                self.over = True
                self.done.release()

    def wait(self) -> None:
        while not self.over:
            self.done.acquire(True, LOOK_SECONDS)
            if self.process is not _process:
                self.left()

    def settle(self) -> None:
        """After an interruption: wait for who has begun; who has not shall not begin any more."""
        while "main" not in self.claims:
            try:
                self.claims.append("main")
            except MemoryError:         # until it is noted nobody knows whether the other thread will begin
                pass
        while self.claims[0] != "main" and not self.over:
            try:
                self.wait()
            except BaseException:       # noqa: B036, S110 - interrupted again; the first exception goes on
                if self.process is not _process:
                    raise

    def end(self, interrupted: BaseException | None) -> None:
        """Raise what a handler did, or else the change. Want of memory while it was waited for says nothing of the change."""
        if self.process is not _process:
            self.left()                 # it may be made, but in the parent
        if interrupted is not None and not (isinstance(interrupted, MemoryError) and self.made):
            if self.raised is not None and interrupted.__cause__ is None:
                raise interrupted from self.raised
            raise interrupted
        if self.raised is not None:
            raise self.raised
        if not self.made:
            raise MemoryError


def uninterrupted(work: Callable[[], Any], left: Callable[[], object],
                  stand_ins: MutableMapping[int, int] | None = None) -> None:
    """Call `work`, in another thread if this is the main one; `stand_ins` has that thread and this one meanwhile.

    Once the interpreter is being torn down no other thread ever runs again, and nothing interrupts: then this one does it. So
    it does where no thread is to be had, and takes its chances.
    """
    if sys.is_finalizing() or threading.current_thread() is not threading.main_thread():
        work()
        return
    change = _Change(work, left)
    interrupted: BaseException | None = None
    try:
        _thread.start_new_thread(change.make, (threading.get_ident(), {} if stand_ins is None else stand_ins))
        change.wait()
    except BaseException as error:
        try:                            # a handler may raise outside of what `settle` guards, again and again: not forever
            change.settle()
        finally:
            try:
                change.settle()
            finally:
                change.settle()
        if not change.over:
            if isinstance(error, RuntimeError) and "start new thread" in str(error):
                work()
                return
            raise
        interrupted = error
    change.end(interrupted)
