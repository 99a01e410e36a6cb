"""Session: the database of a shell, and what is open on it: at most one batch, and one snapshot.

While there is a batch, puts and deletes are gathered in it; reads do not see them before it is committed. While there is a
snapshot, reads are as of it. Both end with the session: what was not committed is not written. One thread.
"""
from __future__ import annotations

import time
from typing import Any

from lsm.cli.outcome import Failed
from lsm.contract.engine import Engine


class Session:
    """A context manager; at its end the snapshot is let go."""

    def __init__(self, db: Engine, json: bool = False) -> None:
        self.db = db
        self.json = json                # what is printed is JSON
        self.ended = False              # somebody said quit
        self.batch: Any = None
        self.gathered = 0               # writes in the batch
        self._moment: Any = None
        self._taken = ""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    @property
    def prompt(self) -> str:
        """What it asks with: it shows what is open."""
        open_now = [f"batch of {self.gathered}"] if self.batch is not None else []
        open_now += [f"as of {self._taken}"] if self._moment is not None else []
        return f"lsm ({', '.join(open_now)})> " if open_now else "lsm> "

    # ------------------------------------------------------------ reads and writes

    @property
    def reads(self) -> Any:
        """What is read: the snapshot, if there is one."""
        return self._moment if self._moment is not None else self.db

    def put(self, key: bytes, value: bytes) -> None:
        """Into the batch, if there is one."""
        (self.db if self.batch is None else self.batch).put(key, value)
        self.gathered += 1

    def delete(self, key: bytes) -> None:
        """Into the batch, if there is one."""
        (self.db if self.batch is None else self.batch).delete(key)
        self.gathered += 1

    # ------------------------------------------------------------ what is open

    def begin(self) -> None:
        """A batch."""
        if self.batch is not None:
            raise Failed("there is a batch already: `batch commit` or `batch abandon` ends it")
        self.batch, self.gathered = self.db.write_batch(), 0

    def commit(self) -> int:
        """Write the batch; answers how many writes. When it fails the batch is still there."""
        self._need_batch().write()
        return self.abandon()

    def abandon(self) -> int:
        """Forget the batch; answers how many writes."""
        self._need_batch()
        self.batch = None
        return self.gathered

    def _need_batch(self) -> Any:
        if self.batch is None:
            raise Failed("there is no batch: `batch begin` begins one")
        return self.batch

    def take(self) -> None:
        """A snapshot, in the place of the one there is."""
        moment = self.db.snapshot()
        self.release()
        self._moment, self._taken = moment, time.strftime("%H:%M:%S")

    def release(self) -> bool:
        """Let go of the snapshot; was there one?"""
        moment, self._moment = self._moment, None
        if moment is not None:
            moment.close()
        return moment is not None
