"""SimpleEngine: the whole contract out of a few primitives, for engines in plain Python.

An engine gives `traits`, `_find` (one key), `_moment` (its rows, frozen), `_apply` (many writes in one step), and what it means
to flush, sync, close. It may override more where it knows better.

Invariants
- `_lock` is held through every write, and whenever a moment is made.
- Nobody sees a write half done: in the middle of one a signal's handler of its own thread, which `_lock` lets in, gets BusyError
  for whatever it does with the database; so does a finalizer.

Threads: any. After a fork the child's calls raise ForkedError.
"""
from __future__ import annotations

import os
import threading
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from lsm.contract.arguments import as_bytes, as_key, as_value
from lsm.contract.batch import Batch
from lsm.contract.engine import Engine
from lsm.contract.moment import Moment, Snapshot
from lsm.contract.rows import Cursor, Rows
from lsm.contract.span import Span
from lsm.contract.traits import Traits
from lsm.errors import BusyError, ClosedError, ForkedError, NotOfferedError, ReadOnlyError

BATCH_CHUNK = 1 << 20           # bytes of keys and values that `write_many` writes in one step


class SimpleEngine(Engine):
    """Subclass it, say its `traits`, and write `_find`, `_moment`, `_apply`, `_release`, `stats`, `verify`, `flush`, `sync`,
    `compact`, `checkpoint`.

    Its `__init__` is called last, when everything is there: from then on the database is open. Before that check what was given
    (`lsm.opening.check_lock_timeout`). With `read_only=True` every change is refused here; that the rows stay those that were
    there when it was opened, though another process writes, is up to the engine: reads, scans and snapshots must all show them.
    """

    _closed = True
    _released = False

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        if not isinstance(getattr(self, "traits", None), Traits):
            raise TypeError(f"{type(self).__name__} has to say what it can: traits = lsm.contract.traits.Traits(its name, ...)")
        self.path = os.fsdecode(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._step = threading.RLock()      # taken after `_lock`, by who is at something that nothing may come into the middle of
        self._stand_ins: dict[int, int] = {}        # threads that do a step for another one (`uninterrupted`)
        self._process = os.getpid()
        self._closed = False

    # ------------------------------------------------------------ what an engine gives

    @abstractmethod
    def _find(self, key: bytes) -> bytes | None:
        """The value of the key now. `_lock` is not held, and the database may be closed by another thread at any time, before
        this is called too: then it raises ClosedError (`_check` under whatever lock `_release` is kept out by), or answers None."""

    @abstractmethod
    def _moment(self) -> Moment:
        """The rows as they are now, frozen. `_lock` is held. What was said of `_find` holds for the methods of a moment."""

    @abstractmethod
    def _apply(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        """Write all of them or none. `_lock` is held, keys and values are checked. What others call raises BusyError in here."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of everything. `_lock` is held, moments may be open. Called again by the next `close` when it raised."""

    # ------------------------------------------------------------ what follows from it

    def _check(self) -> None:
        """Raise when the database was closed or left behind by a fork, or when this thread is in the middle of a write."""
        if os.getpid() != self._process:
            raise ForkedError(f"{self.path}: this database was opened by process {self._process}; after a fork the "
                              "child must open its own")
        if self._closed:
            raise ClosedError(f"{self.path}: the database is closed: open it again")
        self._check_between()

    def _check_between(self) -> None:
        if self._step._is_owned() or threading.get_ident() in self._stand_ins:          # type: ignore[attr-defined]
            raise BusyError(f"{self.path}: a signal handler or finalizer used the database in the middle of a write or scan of "
                            "its own thread: let it set a flag, and use the database outside of it")

    def _check_writable(self) -> None:
        self._check()
        if self.read_only:
            raise ReadOnlyError()

    def _refuse(self, operation: str, *engines: str) -> NoReturn:
        """For what `traits.refused` has."""
        raise NotOfferedError(operation, self.traits.engine, self.traits.refused[operation], engines)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key` as bytes, or `default`. A key over the limit is just not there."""
        self._check()
        value = self._find(as_bytes(key, "keys"))
        if value is None:
            self._check()                   # closed meanwhile? Then nobody knows
            return default
        return value

    def multi_get(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        """The values of many keys as a list, in their order; `default` where there is none."""
        self._check()
        return super().multi_get(keys, default)

    def put(self, key: Any, value: Any, *, sync: bool = False) -> None:
        """Set `key` to `value`, both bytes or bytes-like."""
        self._write(((as_key(key, self.traits.key_bytes_max), as_value(value, self.traits.value_bytes_max)),), sync)

    def delete(self, key: Any, *, sync: bool = False) -> None:
        """Remove `key`. That it was not there is no error."""
        self._write(((as_key(key, self.traits.key_bytes_max), None),), sync)

    def _write(self, operations: Iterable[tuple[bytes, bytes | None]], sync: bool) -> None:
        self._check()                       # in the child of a fork nobody gives the lock back
        with self._lock:
            self._check_writable()
            with self._step:
                self._apply(operations, sync)

    def write_batch(self, *, sync: bool = False) -> Batch:
        """A batch to gather writes in; as a `with` block it is written at its end, dropped when the block raises."""
        self._check_writable()
        return Batch(lambda operations: self._write(operations, sync), self._check, self.traits.key_bytes_max,
                     self.traits.value_bytes_max)

    def write_many(self, pairs: Any, *, sync: bool = False) -> int:
        """Put every (key, value) of an iterable or mapping; answers how many. Written in batches of about a megabyte, each
        of them all or nothing, the whole is not; with `sync=True` one sync at the end."""
        batch = self.write_batch()
        count = 0
        for key, value in pairs.items() if hasattr(pairs, "items") else pairs:
            batch.put(key, value)
            count += 1
            if batch.bytes >= BATCH_CHUNK:
                batch.write()
        batch.write()
        if sync:
            self.sync()
        return count

    def _frozen(self) -> Moment:
        self._check()
        with self._lock:
            self._check()
            return self._moment()

    def scan(self, start: Any = None, stop: Any = None, **how: Any) -> Iterator[Any]:
        """Iterate over a range in the order of the keys, as of this moment: see Engine.scan."""
        self._check()
        span = Span.of(start, stop, **how)
        return Rows(self._frozen(), span, self._check)

    def cursor(self) -> Cursor:
        """A cursor over the rows of this moment. It stands nowhere at first: move it."""
        return Cursor(self._frozen(), self._check)

    def snapshot(self) -> Snapshot:
        """The database as it is now, until it is closed."""
        return Snapshot(self._frozen(), self._check, lambda: self.closed)

    # ------------------------------------------------------------ closing

    @property
    def closed(self) -> bool:
        """Has it been closed, or been left behind by a fork?"""
        return self._closed or os.getpid() != self._process

    def close(self) -> None:
        """Let go of everything. May be called again. Scans, cursors, snapshots and batches raise ClosedError from now on."""
        if os.getpid() != self._process:
            return
        self._check_between()
        with self._lock:
            self._closed = True
            if not self._released:
                self._release()
                self._released = True

    def __del__(self) -> None:
        if warnings is None or not hasattr(self, "_process") or self._released or os.getpid() != self._process:
            return
        if not self._closed:
            warnings.warn(f"the database {self.path!r} was never closed: use `with lsm.open(...)` or close()",
                          ResourceWarning, source=self)
        self.close()

    def __repr__(self) -> str:
        return f"<lsm.{type(self).__name__} {self.path!r}{' closed' if self.closed else ''}>"
