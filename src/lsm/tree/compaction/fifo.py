"""Fifo: keeps the newest `max_bytes` and forgets the rest, a table at a time. For caches and event logs.

Whole tables are dropped, oldest first, so reading an old key may answer that it is absent: that is the
meaning of this policy. Keys written in ascending order cost no merge at all (their tables move to level 1 as
they are); otherwise neighbours of level 0 of similar size merge, to keep it below the tables at which writers
are slowed.

Time is measured against the newest table, not a clock: data expires as newer data is flushed. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsm.errors import OptionError
from lsm.options import GIB, Options
from lsm.tree.compaction.choice import NOTHING, Choice, Drop, Move, is_harmless, merge, movable, older_tables
from lsm.tree.compaction.tiered import similar_window
from lsm.tree.version import TableMeta, Version


@dataclass(frozen=True)
class Fifo:
    """max_bytes: what all tables together may hold. ttl_seconds: tables this much older than the newest go
    too (None: none does). trigger_tables: tables of level 0 at which they are moved down or merged."""

    max_bytes: int = 1 * GIB
    ttl_seconds: int | None = None
    trigger_tables: int = 8

    def __post_init__(self) -> None:
        for name, least, most in (
            ("max_bytes", 1, 1 << 62),
            ("ttl_seconds", 1, 1 << 40),
            ("trigger_tables", 2, 1000),
        ):
            value = getattr(self, name)
            if value is None and name == "ttl_seconds":
                continue
            if type(value) is not int or not least <= value <= most:
                raise OptionError(f"Fifo.{name}", value, f"a whole number from {least} to {most}")

    def choose(self, version: Version, options: Options) -> Choice:
        expired = self._drop(version)
        if expired is not None:
            return expired
        trigger = max(2, min(self.trigger_tables, options.slowdown_tables - 1))
        if version.table_count(0) < trigger:
            return NOTHING
        free = movable(version)
        if free:
            return Move(tuple(table.number for table in free), 0, 1)
        return self._merge_neighbours(version)

    def _merge_neighbours(self, version: Version) -> Choice:
        """Similar sizes first; no more than a quarter of max_bytes in one, so that what is dropped stays a
        part."""
        tables = version.levels[0]
        window = similar_window([table.size for table in tables], 10, 2, self.max_bytes // 4)
        pairs = sorted(zip(tables, tables[1:], strict=False), key=lambda pair: pair[0].size + pair[1].size)
        windows = [tables[slice(*window)]] if window else []
        choices = (merge(version, tables, 0) for tables in (*windows, *pairs))
        return next((choice for choice in choices if is_harmless(version, choice)), NOTHING)

    def _drop(self, version: Version) -> Drop | None:
        by_age = sorted(
            ((table, level) for level, tables in enumerate(version.levels) for table in tables),
            key=lambda placed: (placed[0].max_sequence, placed[0].number),
        )
        total = version.total_bytes()
        deadline = -1
        if self.ttl_seconds is not None and by_age:
            deadline = max(table.created for table, _ in by_age) - self.ttl_seconds * 1_000_000
        newest = by_age[-1][0].number if by_age else 0
        gone: dict[int, TableMeta] = {}
        reason = ""
        for table, level in by_age[:-1]:
            if table.number in gone or (total <= self.max_bytes and table.created >= deadline):
                continue
            going = _with_all_it_hides(version, table, level)
            if newest in going:  # the newest table stays, however large
                continue
            reason = reason or (
                f"over {self.max_bytes} bytes"
                if total > self.max_bytes
                else f"older than {self.ttl_seconds} seconds"
            )
            total -= sum(other.size for number, other in going.items() if number not in gone)
            gone.update(going)
        return Drop(tuple(gone), reason) if gone else None


def _with_all_it_hides(version: Version, table: TableMeta, level: int) -> dict[int, TableMeta]:
    """The table and all older ones that would show older values of its keys, and of theirs, if it went
    alone."""
    going = {table.number: table}
    queue = [(level, table)]
    while queue:
        at, held = queue.pop()
        for older_level, older in older_tables(version, held, at):
            if older.number not in going:
                going[older.number] = older
                queue.append((older_level, older))
    return going
