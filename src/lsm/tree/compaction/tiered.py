"""Tiered (size-tiered, "universal"): runs of similar size are merged; each byte is written about once a tier.

A run is one table of level 0 or one whole deeper level, so runs are ordered newest to oldest as levels go,
and only neighbours merge: recency stays in the order of levels. Least writing of the three, for more places
to look and up to `space_percent` of extra bytes, plus a copy of everything while the largest merge runs.

Pure: immutable parameters, no memory between choices.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsm.errors import OptionError
from lsm.options import Options
from lsm.tree.compaction.choice import NOTHING, Choice, Merge, Move, is_harmless, merge, movable
from lsm.tree.version import TableMeta, Version


@dataclass(frozen=True)
class Run:
    """Tables that hold each key at most once between them, with the level they are in."""

    level: int
    tables: tuple[TableMeta, ...]

    @property
    def size(self) -> int:
        return sum(table.size for table in self.tables)


def runs_of(version: Version) -> list[Run]:
    """Newest first."""
    runs = [Run(0, (table,)) for table in version.levels[0]]
    return runs + [Run(level, tables) for level, tables in enumerate(version.levels) if level and tables]


@dataclass(frozen=True)
class Tiered:
    """trigger_runs: runs at which merging starts. size_ratio_percent: a run joins those newer than it when it
    is at most so much larger than their sum. min_merge: runs a merge takes at least. space_percent: bytes of
    all runs but the oldest, against the oldest, at which everything is merged."""

    trigger_runs: int = 8
    size_ratio_percent: int = 10
    min_merge: int = 2
    space_percent: int = 200

    def __post_init__(self) -> None:
        for name, least, most in (
            ("trigger_runs", 2, 1000),
            ("size_ratio_percent", 0, 1000),
            ("min_merge", 2, 1000),
            ("space_percent", 1, 100_000),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise OptionError(f"Tiered.{name}", value, f"a whole number from {least} to {most}")

    def choose(self, version: Version, options: Options) -> Choice:
        runs = runs_of(version)
        trigger = max(2, min(self.trigger_runs, options.slowdown_tables - 1))
        if len(runs) < trigger:
            return NOTHING
        free = [table for table in movable(version) if not table.tombstones]
        if free:
            beneath = next((run.level for run in runs if run.level), len(version.levels) - 1)
            return Move(tuple(table.number for table in free), 0, beneath)
        sizes = [run.size for run in runs]
        if sum(sizes[:-1]) * 100 >= sizes[-1] * self.space_percent:
            return _merge_window(version, runs, 0, len(runs))
        window = similar_window(sizes, self.size_ratio_percent, self.min_merge)
        first, end = window or (0, len(runs) - trigger + 2)
        return _merge_window(version, runs, first, end)


def similar_window(
    sizes: list[int], ratio_percent: int, least: int, most_bytes: int | None = None
) -> tuple[int, int] | None:
    """The newest neighbours, `least` or more, each at most `ratio_percent` larger than all newer ones among
    them."""
    for first in range(len(sizes) - 1):
        total, end = sizes[first], first + 1
        while (
            end < len(sizes)
            and sizes[end] * 100 <= total * (100 + ratio_percent)
            and (most_bytes is None or total + sizes[end] <= most_bytes)
        ):
            total += sizes[end]
            end += 1
        if end - first >= least:
            return first, end
    return None


def _merge_window(version: Version, runs: list[Run], first: int, end: int) -> Merge:
    """Merge runs[first:end] into the deepest level that stays above the next older run."""
    output = len(version.levels) - 1 if end == len(runs) else max(runs[end].level - 1, 0)
    choice = merge(version, [table for run in runs[first:end] for table in run.tables], output)
    if output == 0 and not is_harmless(version, choice):  # tables of one flush, written side by side
        return merge(version, version.tables(), len(version.levels) - 1)
    return choice
