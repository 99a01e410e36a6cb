"""Flush: a full memtable becomes a table of level 0, and its log goes.

Order of durable steps: the table is written and synced, its name is synced, the manifest that names it (and no longer
the log) is switched to, and only then is the log removed. A crash in between leaves a table nobody names, or a log
nobody needs; recovery removes them. Also here: the writing of tables that flush and compaction share.

Threads: the tree shaker, or the closing thread once the shaker has ended.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lsm.tree.files import table_name
from lsm.tree.tree import Sealed, Tree
from lsm.tree.version import TableMeta

if TYPE_CHECKING:
    from lsm import _core

STEP_BYTES = 8 << 20        # of input between two looks at what else is to be done
UNLIMITED = 1 << 62


def flush_oldest(tree: Tree) -> None:
    """Flush the memtable that has waited longest."""
    flush(tree, tree.sealed[0])


def flush(tree: Tree, sealed: Sealed) -> None:
    options = tree.options
    merge = tree.core.TableMerge(tree.directory, tree.state.database_id, [sealed.memtable], [], tree.store._moments,
                             bottom=False, compression=options.compression, block_bytes=options.block_bytes,
                             restart_interval=options.restart_interval, bloom_bits=options.bloom_bits_per_key)
    with Writing(tree) as writing:
        tables = list(writing.tables(merge, UNLIMITED, lambda: None))
        tree.directory.sync()
        tree.install(add=[(0, meta) for meta in tables], opened=writing.opened, flushed=sealed)
        writing.keep()
    tree.counters.flushes += 1
    tree.counters.bytes_flushed += sum(meta.size for meta in tables)


class Writing:
    """Tables being written: opened as they are finished, and removed again unless it comes to `keep`.

    Not once the store has failed: the manifest that names them may be the current one (see Tree._write_manifest), and
    the next open removes what is not named.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.opened: dict[int, _core.Table] = {}
        self.begun: list[int] = []

    def __enter__(self) -> Writing:
        return self

    def tables(self, merge: _core.TableMerge, table_bytes: int, pause: Callable[[], None],
               created: int | None = None) -> Iterator[TableMeta]:
        """Write the merge out as tables of about this size; `pause` is called between steps."""
        while not merge.done:
            number = self.tree.new_number()
            self.begun.append(number)
            summary = None
            while summary is None and not merge.done:
                summary = merge.step(number, table_bytes, STEP_BYTES)
                if not merge.done:          # a merge at its end is not given up any more
                    pause()
            if summary is not None:
                meta = TableMeta(number=number, created=created or self.tree.directory.now(), **summary)
                self.opened[number] = self.tree.open_table(meta)
                self._count(meta)
                yield meta

    def _count(self, meta: TableMeta) -> None:
        """What was written must be what can be read: the finished file says how many entries it holds."""
        found = self.opened[meta.number].entries
        if found != meta.entries:
            raise RuntimeError(f"{table_name(meta.number)} holds {found} entries, {meta.entries} were written")

    def keep(self) -> None:
        self.begun.clear()

    def __exit__(self, *exception: object) -> None:
        if self.begun:
            self.opened.clear()
        if self.tree.store._failure is not None:
            return
        named = {meta.number for meta in self.tree.version.tables()}
        for number in self.begun:
            if number not in named and self.tree.directory.exists(table_name(number)):
                self.tree.remove_file(table_name(number))
