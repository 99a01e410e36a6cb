"""GroupSync: making writes durable, many by one sync (group commit).

A sync of the disk takes milliseconds, so the threads that want one share it. One lock is enough for that: who has it
syncs the logs for everybody who has appended by then; those who waited for it meanwhile find, as a rule, that this was
done for them too, and go.

Invariants: everything up to `_synced` is on disk, and it only grows. After a failed sync nothing is written any more,
and no sync is tried again.
"""
from __future__ import annotations

import threading

from lsm._pycore.gate import Gate
from lsm._pycore.log import LogWriter
from lsm.errors import BusyError


class GroupSync(Gate):
    def _prepare(self) -> None:
        super()._prepare()
        self._sync_lock = threading.RLock()
        self._log: LogWriter | None = None                  # the one that is written to: the last of `_logs`
        self._logs: tuple[LogWriter, ...] = ()              # every log not yet flushed, oldest first
        self._sequence = 0                                  # of the last write that readers may see
        self._synced = 0
        self._recovered = 0                                 # the last write that an earlier process made
        self._syncs = 0

    def _sync_to(self, sequence: int) -> None:
        """Answer when every write up to `sequence` is on disk."""
        self._check_sync()
        if self._synced < self._recovered:
            self._flush_up_to(self._recovered)              # no sync of ours reaches the logs of an earlier process
        with self._sync_lock:
            if self._synced < sequence:
                self._sync_logs()

    def _check_sync(self) -> None:
        """Refuse who would wait for itself: called back in the middle of a sync, or a change, of its own thread."""
        if self._sync_lock._is_owned() or self._must_not_rotate():      # type: ignore[attr-defined]
            raise BusyError("a signal handler or finalizer asked for a sync in the middle of one, or of a change of the "
                            "tree, of its own thread: let it set a flag, and sync outside of it")

    def _sync_logs(self) -> None:
        """One round: sync every log that has anything unsynced in it."""
        self._check_writable()
        logs, target = self._logs_and_sequence()
        self._check_writable()                              # closed meanwhile: there may be no logs any more
        for log in logs:
            if log.synced_whole:
                continue
            try:
                log.sync()
            except Exception as error:
                self._fail(error)                           # before anybody else may write or sync
                raise
            self._syncs += 1
            log.synced_whole = log is not logs[-1]
        self._synced = target

    def _logs_and_sequence(self) -> tuple[tuple[LogWriter, ...], int]:
        """The logs, and the last write that is in them."""
        return self._locked(lambda: (self._logs, self._sequence))
