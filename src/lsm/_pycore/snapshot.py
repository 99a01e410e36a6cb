"""Snapshot: a moment that holds still.

It is a sequence number that the store knows is in use, so that flush and compaction keep what is visible at it. It
holds no view: it reads through the store's present one. Threads: any.
"""
from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from lsm._pycore.cursor import Cursor
from lsm._pycore.reader import Reader
from lsm._pycore.scan import Scan
from lsm.contract.span import Span
from lsm.errors import ClosedError


class Snapshot(Reader):
    """The database as it was at one moment: get, [], in, multi_get, scan, cursor, iteration, len. Made by `DB.snapshot`.

    It costs nothing to take; while it is open, compaction keeps what it can see. Close it, or use `with`. `sequence`
    is the number of the last write it sees. Any thread. Its methods raise as those of the database, and ClosedError
    when it, or the database, is closed.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._open = threading.Lock()           # free while it is open
        self.sequence: int = store._hold_moment()

    def close(self) -> None:
        """Let the moment go. May be called again."""
        if self._open.acquire(False):
            self._store._release_moment(self.sequence)

    def __del__(self) -> None:
        if hasattr(self, "sequence"):
            self.close()

    @property
    def closed(self) -> bool:
        """Has it, or its database, been closed?"""
        return self._open.locked() or self._store.closed    # type: ignore[no-any-return]

    def _check(self) -> None:
        self._store._check_readable()
        if self._open.locked():
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")

    def get(self, key: Any, default: Any = None) -> Any:
        """The value `key` had at the moment, or `default`."""
        self._check()
        return self._store._find(key, self._store._view, self.sequence, default)

    def multi_get(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        """The values of many keys at the moment; `default` where there was none."""
        self._check()
        return self._store._find_many(keys, self._store._view, self.sequence, default)      # type: ignore[no-any-return]

    def scan(self, start: Any = None, stop: Any = None, **how: Any) -> Scan:
        """As `DB.scan`, at the moment of the snapshot."""
        self._check()
        return self._store._scan_at(self._store._view, self.sequence, Span.of(start, stop, **how))  # type: ignore[no-any-return]

    def cursor(self) -> Cursor:
        """As `DB.cursor`, at the moment of the snapshot."""
        self._check()
        return Cursor(self._store, self._store._view, self.sequence)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Snapshot belongs to its process and cannot be pickled")
