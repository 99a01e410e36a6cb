"""Inspect: what can be told of a database without changing it: its figures (`stats`), and whether it is whole (`verify`).

Threads: any; tables are pinned while they are read, and what is damaged is reported, not raised.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from lsm import _core
from lsm.errors import ClosedError, CorruptionError, StorageError
from lsm.stats import LevelStats, Stats
from lsm.tree import manifest, recovery
from lsm.tree.shaker import Shaker
from lsm.tree.tree import Parts, Tree
from lsm.tree.version import TableMeta

Checked = tuple[int, int, list[CorruptionError]]        # of one file: blocks, bytes, damage


@dataclass
class Report:
    """What `DB.verify` read, and every damage it met; true, and `ok`, when there is none. Prints as a summary.

    files, blocks, bytes    how many were read; a record of a log counts as a block
    damage                  a CorruptionError (path, offset, detail) for each, in the order of file and offset

    >>> print(Report(files=2, blocks=1, bytes=539))
    2 files, 1 blocks, 539 bytes read: all of it is whole
    """

    files: int = 0
    blocks: int = 0
    bytes: int = 0
    damage: tuple[CorruptionError, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Was no damage met?"""
        return not self.damage

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        found = "\n".join(f"  {error}" for error in self.damage)
        return (f"{self.files} files, {self.blocks:,} blocks, {self.bytes:,} bytes read: "
                + (f"{len(self.damage)} damaged\n{found}" if self.damage else "all of it is whole"))

    def note(self, check: Callable[[], Checked]) -> None:
        """Run one file's check and keep the damage it lists or raises, all of it in the order of file and offset."""
        self.files += 1
        try:
            blocks, size, found = check()
        except CorruptionError as error:
            blocks, size, found = 0, 0, [error]
        self.blocks += blocks
        self.bytes += size
        self.damage = tuple(sorted((*self.damage, *found), key=lambda error: (error.path, error.offset)))


def verify(tree: Tree, read_only: bool) -> Report:
    report = Report()
    begun: list[tuple[Parts, tuple[int, ...]]] = []

    def begin() -> None:
        with tree.lock:                             # the manifest on disk is that of the parts
            parts = tree.parts
            begun.append((parts, tuple(log.size for log in parts.logs)))
            report.note(lambda: _verify_manifest(tree, parts.state, read_only))

    try:
        tree.store._uninterrupted(begin)
        _verify_files(tree, *begun[0], report, read_only)
    except (StorageError, ClosedError):
        tree.check_open()                           # closed meanwhile? then that is why
        raise
    return report


def _verify_files(tree: Tree, parts: Parts, sizes: tuple[int, ...], report: Report, read_only: bool) -> None:
    for meta in parts.state.version.tables():
        report.note(lambda meta=meta: _verify_table(tree, parts.tables[meta.number], meta, read_only))     # type: ignore[misc]
    for log, size in zip(parts.logs, sizes):
        report.note(lambda log=log, size=size: _verify_log(tree, log, size))     # type: ignore[misc]


def _verify_manifest(tree: Tree, state: manifest.State, read_only: bool) -> Checked:
    """CURRENT and the manifest on disk must say what is known in memory, unless another process may be writing."""
    if read_only:
        loaded = manifest.load(tree.directory)
        return 0, 0 if loaded is None else tree.directory.size(manifest.manifest_name(loaded.number)), []
    loaded = manifest.load(tree.directory)
    name = manifest.manifest_name(state.number)
    if loaded is None or loaded.version != state.version or loaded.number != state.number:
        raise CorruptionError(os.path.join(tree.directory.path, manifest.CURRENT), 0,
                              f"it no longer leads to {name}")
    return 0, tree.directory.size(name), []


def _verify_table(tree: Tree, table: _core.Table, meta: TableMeta, read_only: bool) -> Checked:
    """Every damaged block of the table is listed."""
    if read_only and not tree.directory.exists(meta.name):
        return 0, 0, []                             # the process that writes has compacted it away
    size, blocks, _, found = table.damage(meta.crc)
    return blocks, size, found


def _verify_log(tree: Tree, log: _core.LogWriter, size: int) -> Checked:
    """Every record that had been written when the check began must be whole."""
    try:
        data = tree.directory.read(log.name, limit=recovery.LOG_BYTES_MAX)[:size]
    except FileNotFoundError as error:
        if any(log is one for one in tree.logs):
            raise CorruptionError(os.path.join(tree.directory.path, log.name), 0, "the log is missing") from error
        return 0, 0, []                             # it was flushed meanwhile: a table has what it held
    records = _core.check_log(data, log.name, log.number, tree.state.database_id, tree.directory.path)
    return records, size, []


def stats(tree: Tree, store: _core.Store, shaker: Shaker | None) -> Stats:
    parts, counters = tree.parts, tree.counters
    version, tables, memtables = parts.state.version, parts.tables, parts.memtables
    live = [table.counters for table in tables.values()]
    counted = store._counters

    def over_all(name: str) -> int:
        return getattr(counters, name) + sum(table[name] for table in live)     # type: ignore[no-any-return]

    return Stats(
        levels=tuple(_level(level, metas, tables) for level, metas in enumerate(version.levels)),
        memtables=len(memtables), memtable_bytes=sum(memtable.bytes for memtable in memtables),
        tables=version.table_count(), bytes=version.total_bytes(),
        entries=sum(meta.entries for meta in version.tables()), sequence=store._sequence,
        log_bytes=counted["log_bytes"], bytes_written=counted["bytes_written"], syncs=counted["syncs"],
        gets=counted["gets"], flushes=counters.flushes, bytes_flushed=counters.bytes_flushed,
        compactions=counters.compactions, bytes_compacted_in=counters.bytes_compacted_in,
        bytes_compacted_out=counters.bytes_compacted_out, cache_hits=tree.cache.hits, cache_misses=tree.cache.misses,
        cache_used=tree.cache.used, cache_capacity=tree.cache.capacity, filter_probes=over_all("filter_probes"),
        filter_negatives=over_all("filter_negatives"), filter_false_positives=over_all("false_positives"),
        block_reads=over_all("block_reads"), stalls=shaker.stalls if shaker else 0,
        stall_seconds=shaker.stall_seconds if shaker else 0.0,
        longest_stall_seconds=shaker.longest_stall_seconds if shaker else 0.0,
        slowed_seconds=counted["slowed_seconds"])


def _level(level: int, metas: tuple[TableMeta, ...], tables: dict[int, _core.Table]) -> LevelStats:
    return LevelStats(
        level=level, tables=len(metas), bytes=sum(meta.size for meta in metas),
        entries=sum(meta.entries for meta in metas), tombstones=sum(meta.tombstones for meta in metas),
        smallest=min((meta.smallest for meta in metas), default=b""),
        largest=max((meta.largest for meta in metas), default=b""),
        filter_bytes=sum(tables[meta.number].filter_bytes for meta in metas),
        index_bytes=sum(tables[meta.number].index_bytes for meta in metas))
