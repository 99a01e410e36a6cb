"""Writer: the writing half of a store: put, delete, batches, sync.

A write passes the gate, takes the write lock, is appended to the log, then added to the memtable; only then `_sequence`
moves on, so that readers see a batch whole or not at all. With sync, it then waits for the disk, without the write lock.

Invariant: only the holder of the write lock adds to memtable and log, or replaces them.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsm._pycore.batch import WriteBatch
from lsm._pycore.faults import is_final
from lsm._pycore.gate import SLOW
from lsm._pycore.group_sync import GroupSync
from lsm._pycore.memtable import Memtable
from lsm._pycore.record import encode_payload, encode_record
from lsm.contract.arguments import as_key, as_value
from lsm.contract.batch import Operation

BATCH_CHUNK = 1 << 20           # bytes after which write_many begins a new batch


class Writer(GroupSync):
    def _prepare(self) -> None:
        super()._prepare()
        self._memtable: Memtable | None = None
        self._memtable_budget = 0
        self._rotate_at = 0             # bytes of the memtable: its budget, or 0 while there is no log
        self._bytes_written = 0         # keys and values, as given by the user
        self._log_bytes = 0

    # ------------------------------------------------------------ the way of a write

    def _write(self, operations: Sequence[Operation], sync: bool) -> None:
        """Write all of these or none. A value of None is a delete."""
        if not operations:
            return
        payload = encode_payload(operations)
        if sync:
            self._check_sync()          # before anything is written
        last = None
        while last is None:
            if self._bars:
                self._check_writable()
                self._slow_down(len(payload))
            last = self._locked(lambda: self._attempt(operations, payload))
            if last is None and not self._bars - SLOW:
                self._wait_for_room()
        if sync:
            self._sync_to(last)

    def _attempt(self, operations: Sequence[Operation], payload: bytes) -> int | None:
        """Write if there is room for it, and nothing has closed the gate meanwhile; answers the sequence of the last write."""
        if self._bars and self._bars - SLOW:
            return None
        if self._memtable.bytes >= self._rotate_at and not self._make_room():       # type: ignore[union-attr]
            return None
        return self._write_locked(operations, payload)

    def _make_room(self) -> bool:
        """Rotate to a new memtable and log, if that may be done now."""
        if self._must_not_rotate():
            if self._log is None:
                self._check_entry()
            return True                 # the memtable takes a little more than its budget
        if not self._may_rotate():
            return False
        self._uninterrupted(self._rotate)
        return True

    def _write_locked(self, operations: Sequence[Operation], payload: bytes) -> int:
        """Log, memtable, sequence; answers the sequence of the last write."""
        log = self._log
        assert log is not None
        first = self._sequence + 1
        record = encode_record(payload, len(operations), log.number, first, self._synced, log.directory.now())
        before = log.size
        try:
            log.append(record)
            self._publish(operations, first, len(record))
        except BaseException as error:
            if log.size > before:           # a signal's handler, in the middle of it: what is in the log counts
                self._publish_or_fail(operations, first, len(record))
            elif is_final(error):
                self._fail(error)           # before anybody else may write
            raise
        return first + len(operations) - 1

    def _publish_or_fail(self, operations: Sequence[Operation], first: int, logged: int) -> None:
        """Again? Then log and memtable differ, and nothing more may be written."""
        try:
            self._publish(operations, first, logged)
        except BaseException as error:
            self._fail(error)
            raise

    def _publish(self, operations: Sequence[Operation], first: int, logged: int) -> None:
        """Show what is in the log to readers. Done again from the start it does no harm."""
        apply = self._memtable.apply    # type: ignore[union-attr]
        size = 0
        for sequence, (key, value) in enumerate(operations, first):
            apply(sequence, key, value)
            size += len(key) + (len(value) if value is not None else 0)
        last = first + len(operations) - 1
        self._bytes_written += size
        self._log_bytes += logged
        self._sequence = last

    # ------------------------------------------------------------ public

    def put(self, key: Any, value: Any, *, sync: bool = False) -> None:
        """Set `key` to `value`, both bytes or bytes-like.

        When it returns, the write survives the death of the process; with `sync=True` also the loss of power. Raises
        TypeError for str and the like, ValueError over the limits (keys 65,535 bytes, values 128 MiB), StorageError
        when the disk refuses, ReadOnlyError, ClosedError. Waits when the background work cannot keep up.
        """
        self._write(((as_key(key), as_value(value)),), sync)

    def delete(self, key: Any, *, sync: bool = False) -> None:
        """Remove `key`. That it was not there is no error. The promises and errors of `put`: it writes a marker that
        hides the key, and compaction removes both."""
        self._write(((as_key(key), None),), sync)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        """Remove `key`; KeyError when it is not there. Between the look and the removal another thread may write."""
        if key not in self:             # type: ignore[operator]
            raise KeyError(key)
        self.delete(key)

    def write_batch(self, *, sync: bool = False) -> WriteBatch:
        """A WriteBatch for this database: as a `with` block, written at its end, dropped when the block raises."""
        self._check_writable()
        return WriteBatch(self, sync)

    def write_many(self, pairs: Any, *, sync: bool = False) -> int:
        """Put every (key, value) of an iterable or mapping; answers how many.

        Written in batches of about a megabyte, each of them all or nothing, the whole is not; with `sync=True` one sync
        at the end. When the iterable raises, what was written in full batches stays.
        """
        self._check_writable()
        batch, count = WriteBatch(self, sync=False), 0
        for key, value in pairs.items() if hasattr(pairs, "items") else pairs:
            batch.put(key, value)
            count += 1
            if batch.bytes >= BATCH_CHUNK:
                batch.write()
        last = batch.take()
        if sync and not last:
            self.sync()
        self._write(last, sync)
        return count

    def sync(self) -> None:
        """Make every write so far survive the loss of power; one sync is shared by all who wait."""
        self._check_writable()
        self._sync_to(self._sequence)

    # ------------------------------------------------------------ for the Python half

    def _rotate_now(self) -> None:
        """For flush: put a new memtable and log in place, if the present memtable holds anything."""
        self._check_writable()
        self._locked(self._rotate_if_used)

    def _rotate_if_used(self) -> None:
        self._check_writable()
        if self._must_not_rotate():
            self._check_entry()
        if self._memtable.entries:      # type: ignore[union-attr]
            self._uninterrupted(self._rotate)
