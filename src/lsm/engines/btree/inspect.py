"""Inspect: what can be told of a btree without changing it: its figures (`stats`), and whether it can be gone through (`verify`).

Threads: any; what is damaged is reported, not raised.
"""
from __future__ import annotations

from dataclasses import dataclass

from lsm.contract.engine import Engine
from lsm.contract.report import Progress, Report
from lsm.engines.btree.environment import Environment
from lsm.errors import CorruptionError

TOLD_EVERY = 4096                       # rows between two reports of progress


@dataclass(frozen=True)
class BTreeStats:
    """What LMDB tells of its tree. Prints as two lines."""

    entries: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    page_bytes: int
    bytes: int              # of the file
    map_bytes: int          # address space
    moments: int            # scans, cursors and snapshots this process has open: pages they see are not used again

    def __str__(self) -> str:
        return (f"{self.entries:,} rows in a tree {self.depth} deep: {self.branch_pages:,} branch, {self.leaf_pages:,} leaf, "
                f"{self.overflow_pages:,} overflow pages of {self.page_bytes:,} bytes\n"
                f"{self.bytes:,} bytes on disk, {self.map_bytes:,} bytes of address space; {self.moments} open snapshots and scans")


def stats(environment: Environment, shape: dict[str, int]) -> BTreeStats:
    """`shape` is what LMDB tells of the tree at the moment meant."""
    return BTreeStats(shape["entries"], shape["depth"], shape["branch_pages"], shape["leaf_pages"], shape["overflow_pages"],
                      shape["psize"], environment.file_bytes, environment.map_bytes, len(environment.moments))


def verify(db: Engine, progress: Progress | None) -> Report:
    report = Report()

    def walk() -> tuple[int, int, list[CorruptionError]]:
        size = 0
        for rows, (key, value) in enumerate(db.scan(), 1):
            size += len(key) + len(value)
            if progress is not None and rows % TOLD_EVERY == 0:
                progress(size)
        return db.stats().leaf_pages, size, []

    report.note(walk)
    return report
