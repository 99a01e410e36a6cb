"""Inspect: what can be told of a hashlog without changing it: its figures (`stats`), and whether it is whole (`verify`).

Threads: any; what is damaged is reported, not raised.
"""
from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from lsm import _core
from lsm.contract.report import Checked, Progress, Report
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.datafiles import FILE_BYTES_LIMIT, DataFiles
from lsm.engines.hashlog.framed import DATA, hint_says
from lsm.engines.hashlog.merger import Merger
from lsm.errors import ClosedError, CorruptionError, StorageError
from lsm.tree.framed import gaps, whole_records
from lsm.tree.inspect import damaged_stretches


@dataclass(frozen=True)
class HashStats:
    """A hashlog at one moment; counters run since it was opened. Sizes are bytes. Prints as some lines."""

    keys: int
    key_bytes: int
    index_bytes: int            # memory of the index, keys and what it keeps free included
    files: int
    bytes: int                  # of all data files
    live_bytes: int             # records of the present value of a key
    dead_bytes: int             # records that were overwritten or deleted
    tombstone_bytes: int        # records that delete
    retired_files: int          # merged away, and kept for open snapshots
    sequence: int               # of the last write
    bytes_written: int          # keys and values as the user gave them
    data_bytes: int             # the same, framed
    syncs: int
    gets: int
    closed: int                 # data files made for keeping
    merges: int
    bytes_merged_in: int
    bytes_merged_out: int
    cache_hits: int
    cache_misses: int
    cache_used: int
    cache_capacity: int
    stalls: int                 # times a writer waited for room
    stall_seconds: float
    longest_stall_seconds: float

    @property
    def index_bytes_per_key(self) -> float:
        """Memory of the index for each key, beside the key itself."""
        return (self.index_bytes - self.key_bytes) / self.keys if self.keys else 0.0

    @property
    def write_amplification(self) -> float:
        """Bytes written for each byte the user wrote."""
        return (self.data_bytes + self.bytes_merged_out) / self.bytes_written if self.bytes_written else 0.0

    @property
    def space_amplification(self) -> float:
        """Bytes of all data files for each byte of live records."""
        return self.bytes / self.live_bytes if self.live_bytes else 1.0

    def __str__(self) -> str:
        looked = self.cache_hits + self.cache_misses
        hits = f"{self.cache_hits / looked:.0%}" if looked else "none asked"
        return "\n".join([
            f"keys: {self.keys:,} of {self.key_bytes:,} bytes; index: {self.index_bytes:,} bytes of memory, "
            f"{self.index_bytes_per_key:.1f} a key beside the key",
            f"files: {self.files}, {self.bytes:,} bytes: live {self.live_bytes:,}, dead {self.dead_bytes:,}, "
            f"deletions {self.tombstone_bytes:,}; kept for snapshots: {self.retired_files} more",
            f"last write {self.sequence:,}; amplification: write {self.write_amplification:.2f}, "
            f"space {self.space_amplification:.2f}",
            f"cache: {self.cache_used:,} of {self.cache_capacity:,} bytes, hits {hits}; gets: {self.gets:,}",
            f"files closed: {self.closed}; merges: {self.merges}, {self.bytes_merged_in:,} bytes in, "
            f"{self.bytes_merged_out:,} out",
            f"stalls: {self.stalls}, {self.stall_seconds:.3f} s in all, longest {self.longest_stall_seconds:.3f} s; "
            f"syncs: {self.syncs:,}",
        ])


def stats(files: DataFiles, store: _core.HashStore, merger: Merger | None) -> HashStats:
    with files.lock:
        kept = (*files.kept.values(), *files.recovered, *files.written, *((files.active,) if files.active else ()))
        retired = sum(len(older) for _, older in files.retired)
    size = sum(file.size for file in kept)
    live, tombstones = sum(file.live_bytes for file in kept), sum(file.tombstone_bytes for file in kept)
    keys, key_bytes, index_bytes = store._index_figures
    counted, cache = store._counters, files.cache
    return HashStats(
        keys=keys, key_bytes=key_bytes, index_bytes=index_bytes, files=len(kept), bytes=size, live_bytes=live,
        dead_bytes=max(0, size - live - tombstones - len(kept) * _core.LOG_HEADER), tombstone_bytes=tombstones,
        retired_files=retired, sequence=store._sequence, bytes_written=counted["bytes_written"],
        data_bytes=counted["log_bytes"], syncs=counted["syncs"], gets=counted["gets"], closed=files.counters.closed,
        merges=files.counters.merges, bytes_merged_in=files.counters.bytes_merged_in,
        bytes_merged_out=files.counters.bytes_merged_out, cache_hits=cache.hits, cache_misses=cache.misses,
        cache_used=cache.used, cache_capacity=cache.capacity, stalls=merger.stalls if merger else 0,
        stall_seconds=merger.stall_seconds if merger else 0.0,
        longest_stall_seconds=merger.longest_stall_seconds if merger else 0.0)


def verify(files: DataFiles, check_open: Callable[[], None], read_only: bool, progress: Progress | None = None) -> Report:
    report = Report()
    begun: list[list[tuple[_core.DataFile, int]]] = []

    def begin() -> None:
        with files.lock:                            # HASHLOG on disk is that of the parts
            open_ = (*files.recovered, *files.written, *((files.active,) if files.active else ()))
            begun.append([(file, file.size) for file in (*files.kept.values(), *open_)])
            report.note(lambda: _verify_manifest(files, read_only))

    try:
        files.store._uninterrupted(begin)
        for file, size in begun[0]:
            report.note(lambda file=file, size=size: _verify_file(files, file, size, read_only))    # type: ignore[misc]
            if progress is not None:
                progress(report.bytes)
    except (StorageError, ClosedError):
        check_open()                                # closed meanwhile? then that is why
        raise
    return report


def _verify_manifest(files: DataFiles, read_only: bool) -> Checked:
    """HASHLOG on disk must say what is known in memory, unless another process may be writing."""
    state = manifest.load(files.directory)
    if not read_only and state != files.on_disk:
        raise CorruptionError(os.path.join(files.directory.path, manifest.MARKER), 0, "it is not what was written there")
    return 0, files.directory.size(manifest.MARKER), []


def _verify_file(files: DataFiles, file: _core.DataFile, size: int, read_only: bool) -> Checked:
    """Every record must be whole; and of a file made for keeping the hint say what there is."""
    if not files.directory.exists(file.name) and (read_only or file.obsolete):
        return 0, 0, []                             # it was merged away meanwhile
    image = files.image(file, size)
    try:
        hint, records, *_ = _core.hint_of(image, file.number, files.state.database_id, files.directory.path)
    except CorruptionError as error:
        whole = list(whole_records(_core, image, file.number, DATA, _core.LOG_HEADER))
        stretches = gaps(whole, _core.LOG_HEADER, size)
        return len(whole), size, _with_keys(files, file, damaged_stretches(error, stretches), dict(stretches))
    if file.number not in files.kept or file.obsolete:
        return records, size, []
    name = _core.hint_file_name(file.number)
    found = files.directory.read(name, limit=FILE_BYTES_LIMIT) if files.directory.exists(name) else b""
    if found != hint and not file.obsolete:
        at = next((at for at, (one, other) in enumerate(zip(found, hint, strict=False)) if one != other), len(found))
        unlike = CorruptionError(os.path.join(files.directory.path, name), at,
                                 "the hint does not say what its data file holds: it is not used, and opening takes longer")
        return records, size, [unlike]
    return records, size + len(found), []


def _with_keys(files: DataFiles, file: _core.DataFile, found: list[CorruptionError], ends: dict[int, int]) -> list[CorruptionError]:
    """What the hint tells of the records that stood in the damaged stretches: one error for each. Without a hint, any key."""
    name = _core.hint_file_name(file.number)
    data = files.directory.read(name, limit=FILE_BYTES_LIMIT) if files.directory.exists(name) else b""
    hint = hint_says(_core, data, file.number, files.state.database_id, file.size)
    if hint is None:
        return found
    told = []
    hint.sort()
    for each in found:
        first = bisect_left(hint, (each.offset,))
        keys = hint[first:bisect_left(hint, (ends.get(each.offset, 0),), lo=first)]
        told += [CorruptionError(each.path, offset, each.detail, (key, key)) for offset, _, key in keys] or [each]
    return told
