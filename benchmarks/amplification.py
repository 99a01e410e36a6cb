"""How often each byte is written to tables: the arithmetic of level sizes against what the engine counted.

Theory, for distinct keys in uniformly random order, from a policy's parameters alone. A flush adds `flush` bytes to
level 0; sizes add up in a merge, since nothing is overwritten; and compaction is done before the next flush:

  leveled  `trigger_tables` tables of level 0 are merged with all of level 1. While level i holds more than its target,
           one range of keys goes down and is merged with what level i + 1 holds of it: the range that drags the fewest
           bytes along for each of its own; where it drags none, it moves and nothing is written. The key space is
           kept as CELLS equal parts. Ends do not meet: what is as long as k tables touches k + 1 of them on
           average, so each byte drags one byte more along than its share. (A range that went down is empty after
           that, and the fullest is the cheapest: so a byte drags about ratio / 2 along once the level below is
           full, as docs/policies.md says, not ratio.)
  tiered   runs newest to oldest. From `trigger_runs` runs on: all are merged when all but the oldest reach
           `space_percent` of it; else the newest neighbours of which each is at most `size_ratio_percent` larger
           than the sum of those before it; else the newest few, so that one less than the trigger is left.

Measured: a database that is filled flush by flush, each only when nothing is left to compact; bytes of tables as
Stats counts them (bytes_flushed, bytes_compacted_out), so the log is in neither. A table that moves down as it is
writes nothing in both.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from records import nth_key, value_of_key

MEMTABLE, TABLE, BASE = 256 << 10, 128 << 10, 1 << 20
POINTS = 12
CELLS = 64  # equal parts of the key space that the theory keeps sizes of
PATIENCE = 60  # seconds for one flush and what it starts


@dataclass(frozen=True)
class LeveledTheory:
    """`targets[i]` of level i + 1; the last level takes everything."""

    trigger: int
    targets: tuple[float, ...]

    def written(self, flush: float) -> Iterator[float]:
        """Bytes of tables written after the first, second, ... flush."""
        levels, waiting, total = [[0.0] * CELLS for _ in range(len(self.targets) + 1)], 0, 0.0
        while True:
            waiting, total = waiting + 1, total + flush
            if waiting == self.trigger:
                levels[0] = [held + waiting * flush / CELLS for held in levels[0]]
                waiting = 0
                total += sum(levels[0]) + self.push_down(levels)
            yield total

    def push_down(self, levels: list[list[float]]) -> float:
        total = 0.0
        for level, target in enumerate(self.targets):
            above, below = levels[level], levels[level + 1]
            while sum(above) >= target:
                cell = min((cell for cell in range(CELLS) if above[cell]), key=lambda cell: below[cell] / above[cell])
                if below[cell]:
                    total += 2 * above[cell] + below[cell]  # itself, a table's overhang, and its share
                below[cell] += above[cell]
                above[cell] = 0.0
        return total


@dataclass(frozen=True)
class TieredTheory:
    trigger: int
    ratio_percent: float
    space_percent: float

    def written(self, flush: float) -> Iterator[float]:
        runs, total = [], 0.0  # newest first
        while True:
            runs, total = [flush, *runs], total + flush
            while len(runs) >= self.trigger:
                first, end = self.window(runs)
                merged = sum(runs[first:end])
                runs[first:end] = [merged]
                total += merged
            yield total

    def window(self, runs: list[float]) -> tuple[int, int]:
        if sum(runs[:-1]) * 100 >= runs[-1] * self.space_percent:
            return 0, len(runs)
        for first in range(len(runs) - 1):
            together, end = runs[first], first + 1
            while end < len(runs) and runs[end] * 100 <= together * (100 + self.ratio_percent):
                together, end = together + runs[end], end + 1
            if end - first > 1:
                return first, end
        return 0, len(runs) - self.trigger + 2


def policies() -> dict:
    """name -> (policy, its theory, whether a state of stats().levels leaves nothing to do)."""
    from lsm.tree.compaction import Leveled, Tiered

    leveled, tiered = Leveled(base_bytes=BASE), Tiered()
    targets = [leveled.target_bytes(level) for level in range(1, leveled.levels - 1)]

    def leveled_rests(levels) -> bool:
        full = any(level.bytes >= target for level, target in zip(levels[1:], targets))
        return levels[0].tables < leveled.trigger_tables and not full

    def tiered_rests(levels) -> bool:
        return levels[0].tables + sum(level.tables > 0 for level in levels[1:]) < tiered.trigger_runs

    return {
        "leveled": (leveled, LeveledTheory(leveled.trigger_tables, tuple(targets)), leveled_rests),
        "tiered": (
            tiered,
            TieredTheory(tiered.trigger_runs, tiered.size_ratio_percent, tiered.space_percent),
            tiered_rests,
        ),
    }


def measure(records: int, directory: str) -> list[dict]:
    """Points of both policies on the way to so many records: bytes written for each byte flushed."""
    rows = []
    for name, (policy, theory, rests) in policies().items():
        rows += filled(name, policy, theory, rests, records, os.path.join(directory, name))
    return rows


def filled(name: str, policy, theory, rests, records: int, path: str) -> list[dict]:
    import lsm

    rows, points = [], {records * (point + 1) // POINTS for point in range(POINTS)}
    with lsm.open(path, compaction=policy, memtable_bytes=4 << 20, table_bytes=TABLE, compression="none") as db:
        each = MEMTABLE // 128  # records of a flush: the same for every one, whatever a memtable takes of memory
        for start in range(0, records, each):
            batch = range(start, min(start + each, records))
            db.write_many((key, value_of_key(key)) for key in map(nth_key, batch))
            db.flush()
            wait_for_rest(db, rests)
            if any(batch.start < point <= batch.stop for point in points):
                rows.append(row_of(name, theory, db.stats(), batch.stop))
    return rows


def wait_for_rest(db, rests) -> None:
    """Until nothing is left to compact, and has been so for two looks: tables are installed before they are counted."""
    until, quiet, counted = time.monotonic() + PATIENCE, 0, -1
    while quiet < 2:
        stats = db.stats()
        quiet = quiet + 1 if rests(stats.levels) and stats.compactions == counted else 0
        counted = stats.compactions
        if time.monotonic() > until:
            raise TimeoutError(f"compaction did not come to rest:\n{stats}")
        time.sleep(0.002)


def row_of(name: str, theory, stats, records: int) -> dict:
    expected = theory.written(stats.bytes_flushed / stats.flushes)
    total = [next(expected) for _ in range(stats.flushes)][-1]
    return {
        "policy": name,
        "records": records,
        "levels": sum(level.tables > 0 for level in stats.levels),
        "flushes": stats.flushes,
        "theory": total / stats.bytes_flushed,
        "measured": (stats.bytes_flushed + stats.bytes_compacted_out) / stats.bytes_flushed,
        "with_log": stats.write_amplification,
    }
