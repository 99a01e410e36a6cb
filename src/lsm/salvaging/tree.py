"""Tree: all rows of a damaged database of the engines lsm and pylsm: its tables and logs, of each key the newest that is whole.

Which is newest, sequence numbers tell. A merge with nothing older beneath it gives its entries sequence 0 (docs/design.md): among
the tables that a manifest names these are the oldest of their key. Without a manifest the inputs of such a merge may still be
there: then an entry of a table with a lower number, and nothing newer in it than in the merged one, is taken for older.

Two passes: `Tree` reads and checks everything, so that all losses are known; then `rows` reads the good blocks in the order of
the keys. One thread; memory for one table, and for the newest writes of the logs.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from types import ModuleType
from typing import Any, NamedTuple

from lsm._pycore.key import DELETE
from lsm.errors import CorruptionError
from lsm.salvaging.appended import Appended
from lsm.salvaging.loss import Doubt, Loss
from lsm.salvaging.source import Source
from lsm.salvaging.state import commonest, files_there_are, find_state
from lsm.salvaging.table import TableFile, survey
from lsm.tree import recovery
from lsm.tree.files import log_name, table_name
from lsm.tree.framed import LOG, Found

Row = tuple[bytes, bytes]


class Version(NamedTuple):
    """One entry of a key; the newest of a key sorts first."""

    key: bytes
    order: int                      # the sequence number, negative
    rank: int
    kind: int
    value: bytes
    table: TableFile | None


class Tree:
    """What of it can be read: `losses`, `notes`, counts of what was read; `rows`."""

    def __init__(self, source: Source, core: ModuleType) -> None:
        self.source = source
        self.core = core
        self.losses: list[Loss] = []
        self.notes: list[str] = []
        self.state = find_state(source, self.losses, self.notes)
        self.options: dict[str, Any] = {} if self.state is None else {"options": self.state.options}
        self.logs = Appended(source, core, b"lsm.log\n", LOG, log_name, self._take_logged)
        self.logged: dict[bytes, tuple[int, int, bytes]] = {}       # key: sequence, kind and value of its newest write in a log
        self.runs: list[list[TableFile]] = []           # each a sorted run of tables, one behind the other
        if self.state is None:
            self._take_what_there_is()
        else:
            self._take_what_the_manifest_names()
        for table in chain.from_iterable(self.runs):
            self.losses += table.losses
        self.losses += self.logs.losses
        self.files = 2 + sum(map(len, self.runs))
        self.blocks = self.logs.records + sum(len(table.blocks) for run in self.runs for table in run)
        self.bytes = self.logs.read + sum(table.size for run in self.runs for table in run)

    def _take_what_the_manifest_names(self) -> None:
        assert self.state is not None
        levels = self.state.version.levels
        runs = [(table,) for table in levels[0]] + [level for level in levels[1:] if level]
        for rank, metas in enumerate(runs, 1):
            run = [TableFile(self.source, self.core, meta.name, meta, rank, number=meta.number) for meta in metas]
            for table in run:
                survey(table, self.state.database_id)
            self.runs.append(run)
        self._look_for_exchanged()
        self._read_logs()

    def _read_logs(self) -> None:
        """What opening would recover of them; where that is refused, all that is whole."""
        state = self.state
        assert state is not None
        try:
            with self.core.Directory(self.source.path, read_only=True) as directory:
                replayed = recovery.replay(self.core, directory, state)
        except (CorruptionError, OSError):
            self.logs.all_whole(state.logs, state.database_id, state.last_sequence)
            return
        self.logs.up_to(state.logs, replayed.sequence)
        if replayed.torn is not None:
            name, offset = replayed.torn
            self.notes.append(f"{self.source.where(name)}: a write torn at byte {offset} was left out, as opening leaves it out")

    def _take_logged(self, name: str, record: Found) -> None:
        for key, sequence, kind, value in record.writes:
            if key not in self.logged or self.logged[key][0] < sequence:
                self.logged[key] = sequence, kind, value

    def _look_for_exchanged(self) -> None:
        """A table that is not under its own name may be under that of another one."""
        assert self.state is not None
        missing = [(run, at) for run in self.runs for at, table in enumerate(run)
                   if not table.blocks and table.properties and table.meta and table.properties.number != table.meta.number]
        if not missing:
            return
        under = {}
        for number in files_there_are(self.source, "table"):
            found = TableFile(self.source, self.core, table_name(number), None, number=number)
            survey(found, self.state.database_id)
            if found.blocks and found.properties:
                under[found.properties.number] = found.name
        for run, at in missing:
            table = run[at]
            assert table.meta is not None
            if table.meta.number in under:
                run[at] = TableFile(self.source, self.core, under[table.meta.number], table.meta, table.rank,
                                    number=table.meta.number)
                survey(run[at], self.state.database_id)
                run[at].note(0, 0, f"this is {table.name} under another name")

    def _take_what_there_is(self) -> None:
        tables = [TableFile(self.source, self.core, table_name(number), None, number=number)
                  for number in files_there_are(self.source, "table")]
        for table in tables:
            survey(table, None)
        database_id = commonest([table.properties.database_id for table in tables if table.properties])
        for table in tables:
            if table.properties and table.properties.database_id != database_id:
                table.losses.clear()
                table.lose_all(0, "another database's file: its database id differs")
        self.runs = [[table] for table in tables]
        self.logs.all_whole(files_there_are(self.source, "log"), database_id, None)

    # ------------------------------------------------------------ rows

    def rows(self, doubt: Doubt, doubtful: bool) -> Iterator[Row]:
        """The newest of each key that is no deletion, in the order of the keys; without `doubtful` none that may be stale."""
        merged = heapq.merge(*map(_versions, self.runs), self._logged(), key=lambda version: version[:3])
        for key, versions in groupby(merged, key=lambda version: version.key):
            newest = _newest(versions, self.state is None)
            if newest.kind != DELETE and (not doubt.about(key, -newest.order, newest.rank) or doubtful):
                yield key, newest.value

    def _logged(self) -> Iterator[Version]:
        for key in sorted(self.logged):
            sequence, kind, value = self.logged[key]
            yield Version(key, -sequence, 0, kind, value, None)


def _versions(run: list[TableFile]) -> Iterator[Version]:
    for table in run:
        for key, sequence, kind, value in table.entries():
            yield Version(key, -sequence, table.rank, kind, value, table)


def _newest(versions: Iterable[Version], any_table: bool) -> Version:
    """Of one key; `any_table`: nobody knows which tables count."""
    found = list(versions)
    newest = found[0]
    if not any_table:
        return newest
    merged = [version for version in found if version.order == 0 and version.table is not None]
    if not merged:
        return newest
    last = max(merged, key=lambda version: version.table.number)        # type: ignore[union-attr]
    if newest.order == 0:
        return last
    assert last.table is not None
    if newest.table is not None and newest.table.number < last.table.number and newest.table.created <= last.table.created:
        return last
    return newest
