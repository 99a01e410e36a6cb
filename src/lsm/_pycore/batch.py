"""WriteBatch: writes gathered in memory, then written as one record: all of them or none, also across a crash.

Threads: one at a time; a second one that comes while the first writes gets BusyError.
"""
from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from lsm._pycore.key import DELETE, PUT, checked_key, checked_value
from lsm._pycore.record import BATCH_BYTES_MAX, Write, encode_entry
from lsm.errors import BusyError

COUNT_MAX = 0xFFFFFFFF


class WriteBatch:
    """Writes gathered in memory, then written in one step. Made by `DB.write_batch`. Up to 1 GiB (ValueError).

    As a `with` block it is written at the end, or dropped when the block raises. Reading the database does not show
    what is gathered. Of two writes of one key the later one counts.
    """

    def __init__(self, store: Any, sync: bool = False) -> None:
        self.payload_bytes = 0              # of the record, so far
        self._store = store
        self._sync = sync
        self._writes: list[Write] = []
        self._size = 0                      # of keys and values
        self._busy = threading.Lock()       # held while it is being written: it must hold still

    def __len__(self) -> int:
        """Writes gathered so far."""
        return len(self._writes)

    def __bool__(self) -> bool:
        return True

    def _add(self, write: Write) -> None:
        self._store._check_readable()
        size = len(encode_entry(write))
        with _Held(self._busy):
            if self.payload_bytes + size > BATCH_BYTES_MAX or len(self._writes) == COUNT_MAX:
                raise ValueError(f"a batch may hold {BATCH_BYTES_MAX:,} bytes: write this one and begin another")
            self._writes.append(write)
            self.payload_bytes += size
            self._size += len(write[1]) + len(write[2])

    def put(self, key: Any, value: Any) -> None:
        """Set `key` to `value` when the batch is written. Both are copied now. TypeError and ValueError as `DB.put`."""
        self._add((PUT, checked_key(key), checked_value(value)))

    def delete(self, key: Any) -> None:
        """Remove `key` when the batch is written; that it is not there is no error."""
        self._add((DELETE, checked_key(key), b""))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        self.delete(key)

    def clear(self) -> None:
        """Forget what was gathered."""
        with _Held(self._busy):
            self._empty()

    def _empty(self) -> None:
        self._writes = []
        self.payload_bytes = self._size = 0

    def write(self) -> None:
        """Write what was gathered, in one step, and begin anew. Raises as `DB.put` does; what was gathered then stays."""
        self._store._check_readable()
        with _Held(self._busy):
            self._store._write(self._writes, self._size, self._sync)
            self._empty()

    def __enter__(self) -> WriteBatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.write()
        else:
            self.clear()


class _Held:
    """The right to use a batch, for a `with` block."""

    def __init__(self, busy: threading.Lock) -> None:
        self._busy = busy

    def __enter__(self) -> None:
        if not self._busy.acquire(False):
            raise BusyError("another thread is writing this batch: give each thread its own")

    def __exit__(self, *exception: object) -> None:
        self._busy.release()
