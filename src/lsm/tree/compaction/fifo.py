"""Fifo: keeps the newest `max_bytes` and forgets the rest, a table at a time. For caches and event logs.

Whole tables are dropped, oldest first, so reading an old key may answer that it is absent: that is the meaning of this
policy. Keys written in ascending order cost no merge at all (their tables move to level 1 as they are); otherwise the
smallest neighbours of level 0 merge in pairs, to keep it below the tables at which writers are slowed.

Time is measured against the newest table, not a clock: data expires as newer data is flushed. Pure.
"""
from __future__ import annotations

from dataclasses import dataclass

from lsm.errors import OptionError
from lsm.options import GIB, Options
from lsm.tree.compaction.choice import NOTHING, Choice, Drop, Move, merge, older_tables
from lsm.tree.version import TableMeta, Version


@dataclass(frozen=True)
class Fifo:
    """max_bytes: what all tables together may hold. ttl_seconds: tables this much older than the newest go too (None:
    none does). trigger_tables: tables of level 0 at which they are moved down or merged."""

    max_bytes: int = 1 * GIB
    ttl_seconds: int | None = None
    trigger_tables: int = 8

    def __post_init__(self) -> None:
        for name, least, most in (("max_bytes", 1, 1 << 62), ("ttl_seconds", 1, 1 << 40), ("trigger_tables", 2, 1000)):
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
        movable = _movable(version)
        if movable:
            return Move(tuple(table.number for table in movable), 0, 1)
        pairs = zip(version.levels[0], version.levels[0][1:], strict=False)
        newer, older = min(pairs, key=lambda pair: pair[0].size + pair[1].size)
        return merge(version, (newer, older), 0)

    def _drop(self, version: Version) -> Drop | None:
        by_age = sorted(((table, level) for level, tables in enumerate(version.levels) for table in tables),
                        key=lambda placed: (placed[0].max_sequence, placed[0].number))
        total = version.total_bytes()
        deadline = -1
        if self.ttl_seconds is not None and by_age:
            deadline = max(table.created for table, _ in by_age) - self.ttl_seconds * 1_000_000
        gone: dict[int, int] = {}
        reason = ""
        for table, level in by_age[:-1]:                    # the newest stays, however large
            if table.number in gone or (total <= self.max_bytes and table.created >= deadline):
                continue
            reason = reason or (f"over {self.max_bytes} bytes" if total > self.max_bytes
                                else f"older than {self.ttl_seconds} seconds")
            for other in (table, *(older for _, older in older_tables(version, table, level))):
                if other.number not in gone:                # what it hides must not reappear
                    gone[other.number] = other.size
                    total -= other.size
        gone.pop(by_age[-1][0].number, None) if by_age else None
        return Drop(tuple(gone), reason) if gone else None


def _movable(version: Version) -> list[TableMeta]:
    """Tables of level 0 that nothing older overlaps, in level 0 or below."""
    return [table for table in version.levels[0] if not older_tables(version, table, 0)]
