"""Store: the core's half of a database: what Gate, GroupSync and Writer do, and reading. Its methods are the public ones.

It holds the view: memtables and tables at one moment, immutable. A reader first takes the view, then the sequence: the
view then has all that is visible at that moment. The other way round, a compaction installed in between could have
dropped what the older moment sees. Threads: any.
"""
from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from lsm._pycore.cursor import Cursor
from lsm._pycore.key import KIND_MASK, PUT, seek_tag
from lsm._pycore.log import LogWriter
from lsm._pycore.memtable import Memtable
from lsm._pycore.reader import Reader
from lsm._pycore.scan import Scan, end_readers
from lsm._pycore.snapshot import Snapshot
from lsm._pycore.view import View
from lsm._pycore.writer import Writer
from lsm.contract.arguments import as_bytes
from lsm.contract.span import Span


class Store(Writer, Reader):
    def _prepare(self) -> None:
        super()._prepare()
        self._view: View | None = None
        self._readers: dict[int, Any] = {}              # the open scans and cursors, weakly
        self._held_moments: dict[int, int] = {}         # sequence -> how many snapshots hold it
        self._moments_lock = threading.RLock()
        self._gets = 0

    # ------------------------------------------------------------ single keys

    def _find(self, key: Any, view: View | None, sequence: int, default: Any) -> Any:
        if self._bars:
            self._check_readable()
        if type(key) is not bytes:
            key = as_bytes(key, "keys")
        self._gets += 1
        found = view.find(key, seek_tag(sequence))      # type: ignore[union-attr]
        return found[1] if found is not None and found[0] & KIND_MASK == PUT else default

    def _find_many(self, keys: Iterable[Any], view: View | None, sequence: int, default: Any) -> list[Any]:
        wanted = list(keys)
        self._check_readable()
        return [self._find(key, view, sequence, default) for key in wanted]

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key` as bytes, or `default`. A key over the limit is just not there.

        Raises CorruptionError when what is on disk is not what was written, StorageError when it cannot be read,
        TypeError, ClosedError.
        """
        view = self._view
        return self._find(key, view, self._sequence, default)

    def multi_get(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        """The values of many keys as a list, in their order, all of one moment; `default` where there is none."""
        view = self._view
        return self._find_many(keys, view, self._sequence, default)

    # ------------------------------------------------------------ many rows

    def _scan_at(self, view: View | None, sequence: int, span: Span) -> Scan:
        self._check_readable()
        return Scan(self, view, sequence, span)

    def scan(self, start: Any = None, stop: Any = None, *, prefix: Any = None, include_start: bool = True,
             include_stop: bool = False, reverse: bool = False, limit: int | None = None, keys: bool = True,
             values: bool = True) -> Scan:
        """Iterate over a range in the order of the keys, as of this moment, whatever is written meanwhile.

        `start` and `stop` bound it from below and above whatever the direction; `prefix` bounds it further. Rows are
        (key, value); with `values=False` keys alone, with `keys=False` values alone; at most `limit` of them. Raises
        CorruptionError rather than end early; ClosedError when the database is closed meanwhile, BusyError when two
        threads ask for a row at once, ValueError, TypeError.
        """
        view = self._view
        return self._scan_at(view, self._sequence, Span.of(
            start, stop, prefix=prefix, include_start=include_start, include_stop=include_stop, reverse=reverse,
            limit=limit, keys=keys, values=values))

    def cursor(self) -> Cursor:
        """A Cursor over the database as of this moment. It stands nowhere at first: move it. Raises ClosedError."""
        self._check_readable()
        view = self._view
        return Cursor(self, view, self._sequence)

    # ------------------------------------------------------------ moments

    def snapshot(self) -> Snapshot:
        """A Snapshot: the database as it is now, until it is closed. Raises ClosedError. What it can see is kept on disk
        meanwhile, however often it is overwritten."""
        self._check_readable()
        return Snapshot(self)

    def _hold_moment(self) -> int:
        with self._moments_lock:                        # one step with that in which a flush looks at the moments
            sequence = self._sequence
            self._held_moments[sequence] = self._held_moments.get(sequence, 0) + 1
            return sequence

    def _release_moment(self, sequence: int) -> None:
        with self._moments_lock:
            self._held_moments[sequence] -= 1
            if not self._held_moments[sequence]:
                del self._held_moments[sequence]

    @property
    def _moments(self) -> list[int]:
        """Sequence numbers that live snapshots hold, ascending."""
        with self._moments_lock:
            return sorted(self._held_moments)

    # ------------------------------------------------------------ for the Python half

    def _begin(self, sequence: int, synced: int, memtable_budget: int) -> None:
        """After recovery: the last write there is, and the last of those in tables.

        Normally the same. Otherwise the rest is in the logs of an earlier process, whose pages are not relied on.
        """
        self._sequence = self._recovered = sequence
        self._synced = synced
        self._memtable_budget = memtable_budget

    def _install(self, view: View | None, memtable: Memtable | None, logs: tuple[LogWriter, ...]) -> None:
        """Show readers another view, and writers another memtable and log. Without logs, the next write has to rotate
        first. Memtable and log are replaced only under the write lock, or before and after all writing."""
        self._logs = logs
        self._log = logs[-1] if logs else None
        self._memtable = memtable
        self._rotate_at = self._memtable_budget if logs else 0
        self._view = view

    def _drop_view(self) -> None:
        """After closing: let go of memtables, tables and logs."""
        self._install(None, None, ())

    def _end_readers(self) -> None:
        """After closing: free what scans and cursors hold, but for one that is being used just now. The next call of any
        of them raises ClosedError."""
        end_readers(self._readers)

    @property
    def _counters(self) -> dict[str, Any]:
        return {"bytes_written": self._bytes_written, "log_bytes": self._log_bytes, "syncs": self._syncs,
                "gets": self._gets, "slowed_seconds": self._slowed_seconds}
