"""Leveled: each level one sorted run, `ratio` times the bytes of the one above. The default.

Few places to look for a key and little space wasted, paid for by writing each byte about ratio/2 times a
level. Level 0 scores tables / trigger, each deeper level but the last bytes / target; the highest score of at
least 1 is compacted next, so that neither level 0 nor a deeper level starves the other.

Tables that overlap nothing move down as they are, however small. When a deeper level has many more of them than its
bytes need, neighbours of similar size merge within the level (`_fewer`).

Pure: immutable parameters, no memory between choices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lsm.errors import OptionError
from lsm.options import MIB, Options
from lsm.tree.compaction.choice import NOTHING, Choice, Move, merge
from lsm.tree.version import LEVELS, TableMeta, Version, hull

WINDOW = 10  # neighbours merged at once within a level, at most
SPARE_TABLES = 10  # of a level, over twice what its bytes need, before neighbours of similar size merge
SPARE_TABLES_MAX = 30  # the same before any neighbours merge


@dataclass(frozen=True)
class Leveled:
    """ratio: size of a level against the one above. base_bytes: target of level 1. trigger_tables: tables of
    level 0 that start a merge into level 1. levels: how many are used, level 0 included."""

    ratio: int = 10
    base_bytes: int = 256 * MIB
    trigger_tables: int = 4
    levels: int = LEVELS

    def __post_init__(self) -> None:
        for name, least, most in (
            ("ratio", 2, 100),
            ("base_bytes", 1, 1 << 62),
            ("trigger_tables", 1, 1000),
            ("levels", 2, LEVELS),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise OptionError(f"Leveled.{name}", value, f"a whole number from {least} to {most}")

    def target_bytes(self, level: int) -> int:
        return self.base_bytes * int(self.ratio ** (level - 1))

    def choose(self, version: Version, options: Options) -> Choice:
        levels = min(self.levels, len(version.levels))
        trigger = min(self.trigger_tables, options.slowdown_tables - 1)
        scores = [(version.table_count(0) / trigger, 0)]
        scores += [
            (version.level_bytes(level) / self.target_bytes(level), level) for level in range(1, levels - 1)
        ]
        score, level = max(scores, key=lambda scored: (scored[0], -scored[1]))
        if score < 1:
            return _fewer(version, options.table_bytes)
        return self._from_level_0(version) if level == 0 else self._from_level(version, level)

    def _from_level_0(self, version: Version) -> Choice:
        movable = _movable(version)
        if movable:
            return Move(tuple(table.number for table in movable), 0, 1)
        oldest = version.levels[0][-1]
        inputs = _all_that_overlap(version.levels[0], oldest)
        return merge(version, (*inputs, *version.overlapping(1, *hull(inputs))), 1)

    def _from_level(self, version: Version, level: int) -> Choice:
        """The table that drags the fewest bytes of the next level along, for each byte of its own."""

        def cost(table: TableMeta) -> tuple[float, bytes]:
            below = version.overlapping(level + 1, table.smallest, table.largest)
            return sum(other.size for other in below) / table.size, table.smallest

        table = min(version.levels[level], key=cost)
        below = version.overlapping(level + 1, table.smallest, table.largest)
        if not below and not sheds_tombstones(version, table, level + 1):
            return Move((table.number,), level, level + 1)
        return merge(version, (table, *below), level + 1)


def _fewer(version: Version, table_bytes: int) -> Choice:
    """Merge neighbours of a level that has too many tables for its bytes; what they add up to is one table.

    First such that the output is at least 4/3 of the largest: then the table that holds a given byte has grown by a
    third, so that a byte is rewritten at most log(table_bytes / its first table's size) times to that base. Only when
    sizes are so mixed that there are none, and far too many tables: the cheapest.
    """
    for level in range(1, len(version.levels)):
        spare = version.table_count(level) - 2 * -(-version.level_bytes(level) // table_bytes)
        if spare > SPARE_TABLES:
            windows = _windows(version.levels[level], table_bytes)
            similar = [window for window in windows if 3 * window[1] >= 4 * window[2]]
            if similar or (windows and spare > SPARE_TABLES_MAX):
                _, _, _, first, end = min(similar or windows)
                return merge(version, version.levels[level][first:end], level)
    return NOTHING


def _windows(tables: tuple[TableMeta, ...], most_bytes: int) -> list[tuple[float, int, int, int, int]]:
    """Every few neighbours that fit into one table: (bytes for each table saved, bytes, largest, first, end)."""
    windows = []
    for first, table in enumerate(tables):
        total = largest = table.size
        for end in range(first + 2, min(first + WINDOW, len(tables)) + 1):
            total += tables[end - 1].size
            largest = max(largest, tables[end - 1].size)
            if total > most_bytes:
                break
            windows.append((total / (end - first - 1), total, largest, first, end))
    return windows


def sheds_tombstones(version: Version, table: TableMeta, to_level: int) -> bool:
    """Whether rewriting the table on its way down is worth it: mostly deletes, with nothing left to
    delete."""
    return table.tombstones * 2 >= table.entries and not version.deeper_has_overlap(
        to_level, table.smallest, table.largest
    )


def _movable(version: Version) -> list[TableMeta]:
    """Tables of level 0 that fit into level 1 as they are: nothing there, nor older in level 0, overlaps
    them."""
    movable: list[TableMeta] = []
    older: list[TableMeta] = []
    for table in reversed(version.levels[0]):
        alone = not any(other.overlaps(table.smallest, table.largest) for other in older)
        if (
            alone
            and not version.overlapping(1, table.smallest, table.largest)
            and not sheds_tombstones(version, table, 1)
        ):
            movable.append(table)
        older.append(table)
    return movable


def _all_that_overlap(tables: Iterable[TableMeta], first: TableMeta) -> tuple[TableMeta, ...]:
    """`first` and all that overlaps it, or overlaps what does: so no older one is left behind, nor a newer
    one that would have to follow over the same bytes at once."""
    held = tuple(tables)
    smallest, largest = first.smallest, first.largest
    while True:
        taken = tuple(table for table in held if table.overlaps(smallest, largest))
        if hull(taken) == (smallest, largest):
            return taken
        smallest, largest = hull(taken)
