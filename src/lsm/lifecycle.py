"""Lifecycle: how a database over a core's Gate is opened, refused, left behind by a fork, and closed, and what its store calls
back for when it needs other files. Said once, for all engines that have one.

Invariants: exactly one database that may write has the directory's lock. After `close`, or in the child of a fork, every
operation raises; a child never changes a file of its parent's.

Threads: any, for every method.
"""
from __future__ import annotations

import atexit
import logging
import os
import threading
import warnings
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from lsm.background import Background, passes
from lsm.errors import ClosedError, ForkedError, ReadOnlyError
from lsm.place import check_ours, directory_at, lock

if TYPE_CHECKING:
    from lsm import _core
    from lsm._core import Store as OtherHalf
else:
    OtherHalf = object          # which core's Store it is, is said where the two are joined

logger = logging.getLogger("lsm")
Kind = TypeVar("Kind")


class Lifecycle(OtherHalf):
    core: ClassVar[ModuleType]          # where Store, Directory and the like come from
    path: str
    read_only: bool
    _directory: _core.Directory
    _process: int
    _opened = False

    # ------------------------------------------------------------ what an engine says

    @abstractmethod
    def _background(self) -> Background | None:
        """Its background thread; None before it is there, and when the database was opened to read."""

    @abstractmethod
    def _settle(self) -> None:
        """At close, with nobody else at work: put what is in memory where the next open finds it soonest."""

    @abstractmethod
    def _let_go(self, ended: bool) -> None:
        """Let go of memory and files; if not all has `ended`, of what the background thread does not use."""

    @abstractmethod
    def _must_not_rotate(self) -> bool:
        """Is this thread in the middle of a change of the files?"""

    # ------------------------------------------------------------ opening

    def _open(self, path: str | os.PathLike[str], create: bool, read_only: bool, lock_timeout: float,
              directory: _core.Directory | None, marker: str, foreign: Callable[[Iterable[str]], list[str]],
              to_read: Callable[[_core.Directory], None], to_write: Callable[[_core.Directory], None]) -> None:
        """Find or make the directory, lock it, and have it opened. `marker` and `foreign` tell whose it is."""
        if hasattr(self, "_process"):
            raise TypeError(f"{self!r}: a database is opened once: make another one with lsm.open")
        self._process = os.getpid()
        self._close_lock = threading.RLock()
        self._finishing = threading.Lock()      # taken by who ends everything, and kept once that is done
        self.path = os.fsdecode(path)
        self.read_only = read_only
        self._directory = directory or directory_at(self.core, path, create and not read_only, read_only)
        _alive.add(self)                        # from here on there is something that the child of a fork has to let go of
        try:
            if read_only:
                to_read(self._directory)
            else:
                names = self._directory.list()
                check_ours(self.path, names, marker, foreign(names), create)
                lock(self._directory, lock_timeout)
                self._uninterrupted(lambda: to_write(self._directory))
            self._open_gate(read_only=read_only)
            self._check_open()                  # is this the child of a fork by now?
            self._opened = True
        except BaseException as error:
            if self._gate & self.core.GATE_FORKED_FLAG:
                try:
                    self._refuse()
                except ForkedError as forked:
                    raise forked from error
            try:
                self._uninterrupted(self._give_up_opening)
            except MemoryError:
                self._give_up_opening()         # it takes its chances; what it cannot do goes with `self`
            raise

    def _give_up_opening(self) -> None:
        """Also when all of it was done and a signal's handler raised meanwhile. The lock goes when nobody is at work."""
        if not self._gate & self.core.GATE_CLOSED_FLAG:
            self._opened = False
            self._close_gate()
        background = self._background()
        if background is None or background.stop():
            self._directory.close()
            _alive.discard(self)

    # ------------------------------------------------------------ in use

    def _refuse(self) -> None:
        if self._gate & self.core.GATE_FORKED_FLAG:
            raise ForkedError(f"{self.path}: this database was opened by process {self._process}; after a fork the "
                              "child must open its own")
        if self._gate & self.core.GATE_CLOSED_FLAG:
            raise ClosedError(f"{self.path}: the database is closed: open it again")
        if self._failure is not None:
            raise ReadOnlyError(f"{self.path}: the database takes no more writes since one failed: {self._failure}; "
                                "mend the cause, then close and open it again") from self._failure
        raise ReadOnlyError()

    def _check_open(self) -> None:
        if self._gate & self.core.GATE_SHUT_FLAG:
            self._refuse()

    # ------------------------------------------------------------ called back by the store

    def _may_rotate(self) -> bool:
        return self._background().may_rotate()          # type: ignore[union-attr]  # only who may not write has none

    def _wait_for_room(self) -> None:
        self._background().wait_for_room()              # type: ignore[union-attr]

    def _changed(self, change: Callable[[], None]) -> None:
        """Have the files changed, and tell the background thread. What goes wrong, but for lack of room, ends all writing: a sync
        may be what failed."""
        try:
            change()
        except BaseException as error:
            if not passes(error):
                self._fail(error)
            raise
        background = self._background()
        if background is not None:
            background.tell()

    # ------------------------------------------------------------ closing

    @property
    def closed(self) -> bool:
        """Has it been closed, or been left behind by a fork?"""
        return bool(self._gate & self.core.GATE_SHUT_FLAG)

    def close(self) -> None:
        """Settle what is in memory and let go of files and lock. May be called again.

        Work under way is given up, which loses nothing. When what is in memory cannot be settled nothing is lost either: the
        logs keep it, the next open finds it there, and the failure is logged, not raised. Scans, cursors, snapshots and
        batches raise ClosedError from now on. It waits up to 30 seconds for the background thread, and if that does not
        end the lock is kept until the process does.
        """
        if self._gate & self.core.GATE_FORKED_FLAG:
            self._let_go(False)
            return
        self._check_entry()
        if threading.get_ident() in self._stand_ins or self._is_background():
            if not self._close_lock.acquire(blocking=False):
                return                          # called back by what the closing thread waits for
            try:
                self._uninterrupted(self._finish)
            finally:
                self._close_lock.release()
        else:
            with self._close_lock:              # nothing else: a handler may raise just when it is taken
                self._uninterrupted(self._finish)

    def _is_background(self) -> bool:
        background = self._background()
        return background is not None and background.is_this_thread()

    def _finish(self) -> None:
        """End everything, once; what could not be done, for want of memory, is done by who closes again."""
        if not self._finishing.acquire(blocking=False):
            return
        finished = False
        try:
            ended = self._end()
            finished = True
            if ended:                           # not before: the child of a fork must not end what is the parent's
                _alive.discard(self)
        finally:
            if not finished:
                self._finishing.release()

    def _end(self) -> bool:
        """The lock goes last. A background thread that does not end keeps it: it may still be writing. Has it ended?"""
        self._close_gate()
        background = self._background()
        ended = background is None or background.stop()
        try:
            if ended and background is not None and self._failure is None:
                self._settle()
        except Exception as error:
            logger.warning("%s: not everything could be flushed at close, the log keeps it: %s", self.path, str(error))
        finally:
            try:
                self._let_go(ended)
            except MemoryError:                 # none for the empty things that take the place of the full: those go with `self`
                logger.warning("%s: closed for want of memory with some of it kept, until this object goes", self.path)
            finally:
                if ended:
                    self._directory.close()
                else:
                    logger.error("%s: the background thread does not end; the lock is kept until the process does", self.path)
        return ended

    def __del__(self) -> None:
        if logger is None or self.core.GATE_SHUT_FLAG is None:         # the interpreter ends; the logs keep it all
            return
        if not self._opened or self._gate & self.core.GATE_SHUT_FLAG:
            return                              # never opened, or closed
        warnings.warn(f"the database {self.path!r} was never closed: use `with lsm.open(...)` or close()",
                      ResourceWarning, source=self)
        self.close()

    def __repr__(self) -> str:
        return f"<lsm.{type(self).__name__} {self.path!r}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a database belongs to its process and cannot be pickled: pickle its path and open it there "
                        "with read_only=True")


class Inheritor(Protocol):
    def left_by_fork(self) -> None:
        """In the child of a fork: the directory's lock is the parent's."""


_alive: weakref.WeakSet[Lifecycle] = weakref.WeakSet()
_inheritors: weakref.WeakSet[Inheritor] = weakref.WeakSet()


def hear_of_forks(db: Inheritor) -> None:
    """For an engine that has no Gate of a core's, and yet a lock: `left_by_fork` is called in the child of every fork."""
    _inheritors.add(db)


def _living(known: weakref.WeakSet[Kind]) -> list[Kind]:
    while True:
        try:
            return list(known)
        except (RuntimeError, MemoryError):     # another thread opened or closed one meanwhile; the list is needed
            continue


def _left_by_fork() -> None:
    """In the child of a fork: the databases are the parent's."""
    databases = _living(_alive)
    for db in databases:
        db._close_gate(forked=True)
        db._directory.after_fork_in_child()
        db.core.forked()
    for inheritor in _living(_inheritors):
        inheritor.left_by_fork()
    for db in databases:
        _alive.discard(db)                      # the child's exit must not wait for the parent's threads


def _at_exit() -> None:
    """End the threads while they can still be waited for; what is never closed stays in the logs."""
    for db in _living(_alive):
        background = db._background()
        if background is not None:
            background.stop()


os.register_at_fork(after_in_child=_left_by_fork)
atexit.register(_at_exit)
