"""Inspect: what can be told of a database without changing it: its figures (`stats`), and whether it is whole (`verify`).

Threads: any; tables are pinned while they are read, and what is damaged is reported, not raised.
"""
from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from lsm.contract.report import Checked, Progress, Report
from lsm.errors import ClosedError, CorruptionError, StorageError
from lsm.stats import LevelStats, Stats
from lsm.tree import manifest, recovery
from lsm.tree.framed import LOG, gaps, whole_records
from lsm.tree.shaker import Shaker
from lsm.tree.tree import Parts, Tree
from lsm.tree.version import TableMeta

if TYPE_CHECKING:
    from lsm import _core


ANY_KEY = (None, None)


def verify(tree: Tree, read_only: bool, progress: Progress | None = None) -> Report:
    report = Report()
    begun: list[tuple[Parts, tuple[int, ...]]] = []

    def begin() -> None:
        with tree.lock:                             # the manifest on disk is that of the parts
            parts = tree.parts
            begun.append((parts, tuple(log.size for log in parts.logs)))
            report.note(lambda: _verify_manifest(tree, parts.state, read_only))

    try:
        tree.store._uninterrupted(begin)
        for check in _checks(tree, *begun[0], read_only):
            report.note(check)
            if progress is not None:
                progress(report.bytes)
    except (StorageError, ClosedError):
        tree.check_open()                           # closed meanwhile? then that is why
        raise
    return report


def _checks(tree: Tree, parts: Parts, sizes: tuple[int, ...], read_only: bool) -> Iterator[Callable[[], Checked]]:
    """One for each file beside the manifest."""
    for meta in parts.state.version.tables():
        yield partial(_verify_table, tree, parts.tables[meta.number], meta, read_only)
    for log, size in zip(parts.logs, sizes):
        yield partial(_verify_log, tree, log, size)


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
    return blocks, size, [_with_keys(error, table, meta) for error in found]


def _with_keys(error: CorruptionError, table: _core.Table, meta: TableMeta) -> CorruptionError:
    """The same, with the keys it concerns: those of a block, or of the whole table, when that does not open for it."""
    blocks = table.blocks
    at = bisect_right(blocks, error.offset, key=lambda block: block[0]) - 1
    if error.offset >= blocks[-1][0] + blocks[-1][1]:
        return CorruptionError(error.path, error.offset, f"{error.detail}; for want of it the table will not open again, with its "
                               f"{meta.entries:,} entries", (meta.smallest, meta.largest))
    if error.offset == 0 and not error.detail.startswith(("block", "data block", "table filter")):
        return CorruptionError(error.path, error.offset, error.detail, (meta.smallest, meta.largest))
    low = meta.smallest if at == 0 else blocks[at - 1][2]
    return CorruptionError(error.path, error.offset, error.detail, (low, blocks[at][2]))


def _verify_log(tree: Tree, log: _core.LogWriter, size: int) -> Checked:
    """Every record that had been written when the check began must be whole."""
    try:
        data = tree.directory.read(log.name, limit=recovery.LOG_BYTES_MAX)[:size]
    except FileNotFoundError as error:
        if any(log is one for one in tree.logs):
            raise CorruptionError(os.path.join(tree.directory.path, log.name), 0, "the log is missing") from error
        return 0, 0, []                             # it was flushed meanwhile: a table has what it held
    try:
        records = tree.core.check_log(data, log.name, log.number, tree.state.database_id, tree.directory.path)
    except CorruptionError as error:
        whole = list(whole_records(tree.core, data, log.number, LOG, tree.core.LOG_HEADER))
        return len(whole), size, damaged_stretches(error, gaps(whole, tree.core.LOG_HEADER, size))
    return records, size, []


def damaged_stretches(first: CorruptionError, stretches: Iterable[tuple[int, int]]) -> list[CorruptionError]:
    """Of a file of records: what was noticed first, and every other stretch without a whole one. Which keys they held, none tells."""
    rest = [CorruptionError(first.path, start, f"{end - start} bytes hold no whole record", ANY_KEY)
            for start, end in stretches if start != first.offset]
    return [CorruptionError(first.path, first.offset, first.detail, ANY_KEY), *rest]


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
