"""Compact: carry out what a policy chose. Policies decide (tree/compaction/), this moves tables.

Every choice is validated against the version it is carried out on, so a wrong policy harms nothing. A merge reads its
inputs, which nobody can remove meanwhile, and writes new tables; the version that has these in the place of those is
installed in one step. Memtables that fill up meanwhile are flushed between steps: `pause` sees to that, and raises
when the database is being closed.

Threads: the tree shaker only, so that no two compactions touch the same tables.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lsm.tree.compaction.choice import Choice, Drop, Merge, Move, Nothing, validate
from lsm.tree.flush import Writing
from lsm.tree.tree import Tree
from lsm.tree.version import TableMeta, Version

if TYPE_CHECKING:
    from lsm import _core


def carry_out(tree: Tree, choice: Choice, pause: Callable[[], None]) -> None:
    """Do what was chosen and install the outcome."""
    version = tree.version
    validate(version, choice)
    if isinstance(choice, Nothing):
        return
    if isinstance(choice, Move):
        metas = _named(version, choice.numbers)
        tree.install(add=[(choice.to_level, meta) for meta in metas], remove=choice.numbers)
    elif isinstance(choice, Drop):
        tree.install(remove=choice.numbers)
    else:
        _merge(tree, choice, pause)
    tree.counters.compactions += 1


def _named(version: Version, numbers: tuple[int, ...]) -> list[TableMeta]:
    wanted = set(numbers)
    return [meta for meta in version.tables() if meta.number in wanted]


def _runs(tree: Tree, version: Version, numbers: tuple[int, ...]) -> list[tuple[_core.Table, ...]]:
    """The inputs as sorted runs: each table of level 0 is one, each deeper level is one."""
    wanted = set(numbers)
    runs: list[tuple[_core.Table, ...]] = []
    for level, metas in enumerate(version.levels):
        tables = tuple(tree.tables[meta.number] for meta in metas if meta.number in wanted)
        if level == 0:
            runs += [(table,) for table in tables]
        elif tables:
            runs.append(tables)
    return runs


def _merge(tree: Tree, choice: Merge, pause: Callable[[], None]) -> None:
    version, options = tree.version, tree.options
    inputs = _named(version, choice.inputs)
    compression = options.compression
    if choice.last_level and options.last_level_compression is not None:
        compression = options.last_level_compression
    merge = tree.core.TableMerge(tree.directory, tree.state.database_id, [], _runs(tree, version, choice.inputs),
                             tree.store._moments, bottom=choice.last_level, compression=compression,
                             block_bytes=options.block_bytes, restart_interval=options.restart_interval,
                             bloom_bits=options.bloom_bits_per_key)
    table_bytes = options.table_bytes if choice.output_level > 0 else 1 << 62
    with Writing(tree) as writing:
        outputs = list(writing.tables(merge, table_bytes, pause, created=max(meta.created for meta in inputs)))
        tree.directory.sync()
        tree.install(add=[(choice.output_level, meta) for meta in outputs], remove=choice.inputs,
                     opened=writing.opened)
        writing.keep()
    tree.counters.bytes_compacted_in += sum(meta.size for meta in inputs)
    tree.counters.bytes_compacted_out += sum(meta.size for meta in outputs)


class Pace:
    """How fast compaction takes up what is written: bytes of output a second, smoothed. For the back-pressure."""

    def __init__(self) -> None:
        self.rate = 32e6

    def measure(self, tree: Tree, work: Callable[[], None]) -> None:
        before, begun = tree.counters.bytes_compacted_out, time.monotonic()
        work()
        written, seconds = tree.counters.bytes_compacted_out - before, time.monotonic() - begun
        if written and seconds > 0:
            self.rate = 0.5 * self.rate + 0.5 * written / seconds
