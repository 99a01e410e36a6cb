"""TableMerge: the work of a flush or a compaction: sorted sources in, tables out, in steps.

Python's generators carry it: the sources are merged (view.py), each entry is kept or dropped (retain.py), what is kept is
written (table_writer.py). The tree decides what is merged, and looks at other things between two steps; a step takes some
megabytes of input. A table being written is the merge's until `step` answers its summary; one that is not finished is
removed when the merge goes. Threads: one.
"""
from __future__ import annotations

from typing import Any

from lsm._pycore.memtable import Memtable
from lsm._pycore.retain import retained
from lsm._pycore.table import Table
from lsm._pycore.table_writer import TableWriter
from lsm._pycore.view import Run, merged

ENTRY_BYTES = 16            # what an entry counts as input beside its key and value
FACTS = ("size", "entries", "tombstones", "smallest", "largest", "min_sequence", "max_sequence", "crc", "key_bytes",
         "value_bytes")     # what the manifest keeps of a table


class TableMerge:
    def __init__(self, directory: Any, database: bytes, memtables: list[Memtable], runs: list[tuple[Table, ...]],
                 snapshots: list[int], *, bottom: bool, compression: str, block_bytes: int, restart_interval: int,
                 bloom_bits: int) -> None:
        self.directory = directory
        self._how = {"block_bytes": block_bytes, "restart_interval": restart_interval, "bits_per_key": bloom_bits,
                     "compression": compression, "database_id": database}
        sources = [memtable.ascending() for memtable in memtables]
        sources += [Run(run).ascending(past_cache=True) for run in runs]
        self._entries = retained(merged(sources), snapshots, bottom)
        self._next = next(self._entries, None)
        self._writer: TableWriter | None = None
        self.done = self._next is None      # the sources are at their end

    def step(self, number: int, table_bytes: int, step_bytes: int) -> dict[str, Any] | None:
        """Go on with table `number` for about so many bytes of input.

        Answers its summary, as keywords of a TableMeta, when it is finished: it has reached `table_bytes`, or the
        sources are at their end. None when there is more to do, or when there was nothing to write (`done` tells).
        """
        read = 0
        while self._next is not None and read < step_bytes:
            (key, _, value), tag = self._next
            read += len(key) + len(value) + ENTRY_BYTES
            if tag is not None:
                self._table(number).append(key, tag, value)
            self._next = next(self._entries, None)
            if self._writer is not None and self._is_full(key, table_bytes):
                return self._finish()
        self.done = self._next is None
        return self._finish() if self.done and self._writer is not None else None

    def _table(self, number: int) -> TableWriter:
        if self._writer is None:
            how: dict[str, Any] = self._how
            self._writer = TableWriter(self.directory, f"{number:06d}.table", number=number, **how)
        return self._writer

    def _is_full(self, key: bytes, table_bytes: int) -> bool:
        """Versions of one key never straddle two tables: a table ends where another key begins."""
        assert self._writer is not None
        return self._next is not None and self._writer.size >= table_bytes and self._next[0][0] != key

    def _finish(self) -> dict[str, Any]:
        assert self._writer is not None
        writer, self._writer = self._writer, None
        summary = writer.finish()
        return {name: summary[name] for name in FACTS}
