"""Reader: what a scan and a cursor share: rows of one view at one moment.

It refers to its store and learns from its gate that it was closed. It holds the view it began with, so that nothing it
stands on can go away under it, whatever is flushed, compacted or closed meanwhile; the store keeps a list of the open
ones, to end them when it is closed.

Threads: one at a time; a second one that comes meanwhile gets BusyError.
"""
from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import Any

from lsm._pycore.view import View
from lsm.errors import BusyError, ClosedError


class Reader:
    def __init__(self, store: Any, view: View | None, sequence: int) -> None:
        self._store = store
        self._busy = threading.Lock()
        if view is None:
            store._refuse()                     # closed since the gate was looked at
        self._view: View | None = view
        self._sequence = sequence
        store._readers[id(self)] = weakref.ref(self)
        if store._bars:
            store._check_readable()             # closed meanwhile

    def __del__(self) -> None:
        if hasattr(self, "_store"):
            self._store._readers.pop(id(self), None)

    def _enter(self) -> None:
        """Begin to use it. Who called gives `_busy` back."""
        if self._store._bars:
            self._store._check_readable()
        if not self._busy.acquire(False):
            raise BusyError("another thread is using this object: give each thread its own")
        if self._view is None:
            self._busy.release()
            raise ClosedError("this cursor is closed: make another one with db.cursor()")

    def _let_go(self) -> None:
        """Free what is held."""
        self._view = None
        self._store._readers.pop(id(self), None)

    def _end(self) -> None:
        """The store is closed: let go, unless somebody is using it just now."""
        if self._busy.acquire(False):
            try:
                self._let_go()
            finally:
                self._busy.release()

    def close(self) -> None:
        """Let go of what is held. May be called again."""
        if not self._busy.acquire(False):
            raise BusyError("another thread is using this object: give each thread its own")
        try:
            self._let_go()
        finally:
            self._busy.release()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} belongs to its process and cannot be pickled")
