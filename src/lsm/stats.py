"""Stats: what a database can tell of itself, typed and printable. Immutable; made by `DB.stats()`."""
from __future__ import annotations

import builtins
from dataclasses import dataclass


@dataclass(frozen=True)
class LevelStats:
    """One level of the tree. Level 0 holds flushed memtables, which may overlap; a deeper one is one sorted run."""

    level: int
    tables: int
    bytes: int                  # of the files
    entries: int                # versions, tombstones included
    tombstones: int
    smallest: builtins.bytes
    largest: builtins.bytes
    filter_bytes: int           # of memory
    index_bytes: int            # of memory


@dataclass(frozen=True)
class Stats:
    """The whole database at one moment, by `DB.stats()`; counters run since it was opened. Prints as a table.

    Sizes are bytes, times seconds. The figures of the cache are those of the whole cache, also when databases share
    it. Counters that threads raise at once may lose a count, so take them for what they are.
    """

    levels: tuple[LevelStats, ...]
    memtables: int              # the one being written and those waiting to be flushed
    memtable_bytes: int
    tables: int
    bytes: int                  # of all table files
    entries: int                # in tables; memtables not counted
    sequence: int               # of the last write
    log_bytes: int              # written to the log
    bytes_written: int          # keys and values as the user gave them
    syncs: int
    gets: int
    flushes: int
    bytes_flushed: int
    compactions: int
    bytes_compacted_in: int
    bytes_compacted_out: int
    cache_hits: int
    cache_misses: int
    cache_used: int
    cache_capacity: int
    filter_probes: int
    filter_negatives: int       # lookups a filter answered without a read
    filter_false_positives: int
    block_reads: int
    stalls: int                 # times a writer waited for room
    stall_seconds: float
    longest_stall_seconds: float
    slowed_seconds: float       # time writers were slowed before it came to that

    @property
    def write_amplification(self) -> float:
        """Bytes written to log and tables for each byte the user wrote."""
        written = self.log_bytes + self.bytes_flushed + self.bytes_compacted_out
        return written / self.bytes_written if self.bytes_written else 0.0

    @property
    def read_amplification(self) -> int:
        """Sorted runs a lookup may have to ask: memtables, tables of level 0, deeper levels in use."""
        level_zero = sum(level.tables for level in self.levels if level.level == 0)
        return self.memtables + level_zero + sum(1 for level in self.levels if level.level and level.tables)

    @property
    def space_amplification(self) -> float:
        """Bytes of all tables for each byte of the deepest level in use, where there is one version of each key."""
        used = [level.bytes for level in self.levels if level.tables]
        return self.bytes / used[-1] if used else 1.0

    def __str__(self) -> str:
        lines = ["level  tables         bytes      entries  tombstones  filter bytes  index bytes"]
        for level in self.levels:
            if level.tables:
                lines.append(f"{level.level:5}  {level.tables:6}  {level.bytes:12,}  {level.entries:11,}  "
                             f"{level.tombstones:10,}  {level.filter_bytes:12,}  {level.index_bytes:11,}")
        looked = self.cache_hits + self.cache_misses
        hits = f"{self.cache_hits / looked:.0%}" if looked else "none asked"
        lines += [
            f"memtables: {self.memtables} of {self.memtable_bytes:,} bytes; last write {self.sequence:,}",
            f"amplification: write {self.write_amplification:.2f}, read {self.read_amplification}, "
            f"space {self.space_amplification:.2f}",
            f"cache: {self.cache_used:,} of {self.cache_capacity:,} bytes, hits {hits}; blocks read {self.block_reads:,}",
            f"filters: {self.filter_probes:,} asked, {self.filter_negatives:,} answered no, "
            f"{self.filter_false_positives:,} wrongly yes",
            f"flushes: {self.flushes}, {self.bytes_flushed:,} bytes; compactions: {self.compactions}, "
            f"{self.bytes_compacted_in:,} bytes in, {self.bytes_compacted_out:,} out",
            f"stalls: {self.stalls}, {self.stall_seconds:.3f} s in all, longest {self.longest_stall_seconds:.3f} s; "
            f"slowed for {self.slowed_seconds:.3f} s; syncs: {self.syncs:,}",
        ]
        return "\n".join(lines)
