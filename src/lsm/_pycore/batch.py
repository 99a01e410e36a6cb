"""WriteBatch: writes gathered in memory, then written as one record of the log: all of them or none, also across a crash.

The plain form of the contract does the gathering (lsm/contract/batch.py); the store does the writing.
"""
from __future__ import annotations

from typing import Any

from lsm.contract.batch import Batch, Operation


class WriteBatch(Batch):
    """Writes gathered in memory, then written in one step: all of them or none, also across a crash. Made by
    `DB.write_batch`. Up to 1 GiB (ValueError).

    As a `with` block it is written at the end, or dropped when the block raises. Reading the database does not show
    what is gathered. Of two writes of one key the later one counts. One thread at a time: BusyError.
    """

    def __init__(self, store: Any, sync: bool = False) -> None:
        super().__init__(lambda operations: store._write(operations, sync), store._check_readable)

    def take(self) -> list[Operation]:
        """What is gathered, which is forgotten."""
        taken, self._operations = self._operations, []
        return taken
