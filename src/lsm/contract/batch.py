"""Batch: writes gathered in memory for an engine that takes them in one step. The plain form of `lsm.WriteBatch`.

Threads: one at a time; a second one that comes while it is being written gets BusyError.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lsm.contract.arguments import KEY_BYTES_MAX, VALUE_BYTES_MAX, as_key, as_value
from lsm.errors import BusyError

BATCH_BYTES_MAX = 1 << 30
ENTRY_BYTES = 11                # of a key and a value in a record of the log, beside their own, at most

Operation = tuple[bytes, "bytes | None"]        # a key and its value, or None: a delete


class Batch:
    """Writes gathered in memory, then written in one step: all of them or none. Made by `write_batch`.

    As a `with` block it is written at the end, or dropped when the block raises. Reading the database does not show
    what is gathered. Of two writes of one key the later one counts.
    """

    def __init__(self, write: Callable[[Sequence[Operation]], object], check: Callable[[], object],
                 key_bytes_max: int = KEY_BYTES_MAX, value_bytes_max: int = VALUE_BYTES_MAX) -> None:
        """`write` takes all that was gathered; `check` raises when the database was closed."""
        self._write = write
        self._check = check
        self._limits = key_bytes_max, value_bytes_max
        self._operations: list[Operation] = []
        self._bytes = 0
        self._busy = False

    def put(self, key: Any, value: Any) -> None:
        """Set `key` to `value` when the batch is written. Both are copied now."""
        self._add((as_key(key, self._limits[0]), as_value(value, self._limits[1])))

    def delete(self, key: Any) -> None:
        """Remove `key` when the batch is written; that it is not there is no error."""
        self._add((as_key(key, self._limits[0]), None))

    def _add(self, operation: Operation) -> None:
        self._enter()
        size = len(operation[0]) + len(operation[1] or b"") + ENTRY_BYTES
        if self._bytes + size > BATCH_BYTES_MAX:
            raise ValueError(f"a batch may hold {BATCH_BYTES_MAX:,} bytes: write this one and begin another")
        self._operations.append(operation)
        self._bytes += size

    def _enter(self) -> None:
        self._check()
        if self._busy:
            raise BusyError("another thread is writing this batch: give each thread its own")

    def write(self) -> None:
        """Write what was gathered, in one step, and begin anew. When it raises, what was gathered stays."""
        self._enter()
        self._busy = True
        try:
            self._write(self._operations)
            self._empty()
        finally:
            self._busy = False

    def clear(self) -> None:
        """Forget what was gathered."""
        if self._busy:
            raise BusyError("another thread is writing this batch: give each thread its own")
        self._empty()

    def _empty(self) -> None:
        self._operations = []
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What is gathered takes in a record of a log, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._operations)

    def __bool__(self) -> bool:
        return True

    __setitem__ = put
    __delitem__ = delete

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.write()
        else:
            self.clear()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} belongs to its process and cannot be pickled")
