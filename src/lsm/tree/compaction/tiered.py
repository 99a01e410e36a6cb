"""Tiered (size-tiered, "universal"): runs of similar size are merged; each byte is written about once a tier.

A run is one table of level 0 or one whole deeper level, so runs are ordered newest to oldest as levels go, and only
neighbours merge: recency stays in the order of levels. Least writing of the three, for more places to look and up to
`space_percent` of extra bytes, plus a copy of everything while the largest merge runs.

Pure: immutable parameters, no memory between choices.
"""
from __future__ import annotations

from dataclasses import dataclass

from lsm.errors import OptionError
from lsm.options import Options
from lsm.tree.compaction.choice import NOTHING, Choice, Move, merge
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
    """trigger_runs: runs at which merging starts. size_ratio_percent: a run joins those newer than it when it is at
    most so much larger than their sum. min_merge: runs a merge takes at least. space_percent: bytes of all runs but
    the oldest, against the oldest, at which everything is merged."""

    trigger_runs: int = 8
    size_ratio_percent: int = 10
    min_merge: int = 2
    space_percent: int = 200

    def __post_init__(self) -> None:
        for name, least, most in (("trigger_runs", 2, 1000), ("size_ratio_percent", 0, 1000), ("min_merge", 2, 1000),
                                  ("space_percent", 1, 100_000)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise OptionError(f"Tiered.{name}", value, f"a whole number from {least} to {most}")

    def choose(self, version: Version, options: Options) -> Choice:
        runs = runs_of(version)
        trigger = max(2, min(self.trigger_runs, options.slowdown_tables - 1))
        if len(runs) < trigger:
            return NOTHING
        sizes = [run.size for run in runs]
        if sum(sizes[:-1]) * 100 >= sizes[-1] * self.space_percent:
            return _merge_window(version, runs, 0, len(runs))
        for first in range(len(runs) - 1):
            end = self._similar(sizes, first)
            if end - first >= self.min_merge:
                return _merge_window(version, runs, first, end)
        return _merge_window(version, runs, 0, len(runs) - trigger + 2)

    def _similar(self, sizes: list[int], first: int) -> int:
        """The end of the window from `first` in which each run is no larger than all newer ones of it together."""
        total, end = sizes[first], first + 1
        while end < len(sizes) and sizes[end] * 100 <= total * (100 + self.size_ratio_percent):
            total += sizes[end]
            end += 1
        return end


def _merge_window(version: Version, runs: list[Run], first: int, end: int) -> Choice:
    """Merge runs[first:end] into the deepest level that stays above the next older run."""
    window = runs[first:end]
    output = len(version.levels) - 1 if end == len(runs) else max(runs[end].level - 1, 0)
    tables = [table for run in window for table in run.tables]
    rising = [table for run in window for table in run.tables if run.level == 0 and output > 0]
    if len(rising) + len(version.levels[output]) * (output > 0) == len(tables) and _disjoint(tables) \
            and not any(table.tombstones for table in rising):
        return Move(tuple(table.number for table in rising), 0, output)
    return merge(version, tables, output)


def _disjoint(tables: list[TableMeta]) -> bool:
    ordered = sorted(tables, key=lambda table: table.smallest)
    return all(a.largest < b.smallest for a, b in zip(ordered, ordered[1:], strict=False))
