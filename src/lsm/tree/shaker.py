"""The tree shaker: the background thread that keeps the tree in shape.

Over and over it does the most urgent thing there is: flush a memtable that waits; a compaction somebody asked for; the
compaction that the policy chooses. While it merges, it stops every few megabytes to flush what has filled up
meanwhile, so that writers need not wait for a long merge.

Back-pressure: tables in level 0 from `slowdown_tables` on slow the writers down, to less and less of the rate at which
compaction takes up data; at `stop_tables`, or with SEALED_MAX memtables waiting, a writer that needs a new memtable
waits. Slowing comes first, so that waiting is rare and short.

The thread, its errors, waiting for it: background.py.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from lsm.background import Background, Stopping
from lsm.tree.compact import Pace, carry_out
from lsm.tree.compaction import NOTHING, Choice, Merge, Nothing, Policy, merge_everything
from lsm.tree.flush import flush_oldest
from lsm.tree.tree import SEALED_MAX, Tree

if TYPE_CHECKING:
    from lsm import _core

TIDY_CHOICES = 4            # compactions done at close, and the bytes that each may read
TIDY_BYTES = 8 << 20
SLOWEST = 1e6               # bytes a second that writers may always write while level 0 is below stop_tables


class Shaker(Background):
    def __init__(self, tree: Tree, policy: Policy, background: bool) -> None:
        self.tree = tree
        self.policy = policy
        self.pace = Pace()
        super().__init__("lsm tree shaker", background)

    @property
    def store(self) -> _core.Store:
        return self.tree.store

    # ------------------------------------------------------------ the work

    def step(self) -> bool:
        """Do the most urgent thing; False when there is nothing to do."""
        tree = self.tree
        if tree.store._failure is not None:
            return False                        # which files count is not known: nothing is changed any more
        if tree.sealed:
            flush_oldest(tree)
        elif self.wanted:
            self.grant(lambda: self._carry_out(everything(tree)))
        else:
            choice = self.policy.choose(tree.version, tree.options)
            if isinstance(choice, Nothing):
                return False
            self._carry_out(choice)
        self.set_pressure()
        return True

    def _carry_out(self, choice: Choice) -> None:
        self.pace.measure(self.tree, lambda: carry_out(self.tree, choice, self._pause))

    def _pause(self) -> None:
        """Between two steps of a merge: end it if the database is closing, flush what waits."""
        if self.stopping:
            raise Stopping
        while self.tree.sealed:
            flush_oldest(self.tree)
            self.set_pressure()
            self.tell()

    def set_pressure(self) -> None:
        """Slow writers as level 0 fills up: from the rate of compaction down to SLOWEST."""
        options = self.tree.options
        over = len(self.tree.version.levels[0]) - options.slowdown_tables
        if over < 0:
            self.tree.store._slow(0)
        else:
            left = 1 - over / (options.stop_tables - options.slowdown_tables)
            self.tree.store._slow(max(SLOWEST, self.pace.rate * left))

    # ------------------------------------------------------------ for writers and the database

    def has_work(self) -> bool:
        """Is anything waiting that came from outside?"""
        return bool(self.tree.sealed or self.wanted)

    def may_rotate(self) -> bool:
        """Is there room for another memtable?"""
        if self.thread is None:
            self.shake()
        return (len(self.tree.sealed) < SEALED_MAX
                and len(self.tree.version.levels[0]) < self.tree.options.stop_tables)

    def tidy(self) -> None:
        """At close, with the thread ended: what is soon done of what the policy would do, so that a database that is
        never open for long does not gather tables."""
        for _ in range(TIDY_CHOICES):
            choice = self.policy.choose(self.tree.version, self.tree.options)
            if isinstance(choice, Nothing) or cost(self.tree, choice) > TIDY_BYTES:
                return
            carry_out(self.tree, choice, lambda: None)


def cost(tree: Tree, choice: Choice) -> int:
    """Bytes that carrying out a choice reads."""
    inputs = set(choice.inputs) if isinstance(choice, Merge) else set()
    return sum(meta.size for meta in tree.version.tables() if meta.number in inputs)


def everything(tree: Tree) -> Choice:
    """The merge that compact() asks for: none when there is one sorted run and nothing in it to drop."""
    choice = merge_everything(tree.version)
    if isinstance(choice, Merge):
        used = [tables for tables in tree.version.levels if tables]
        settled = all(meta.max_sequence == 0 and meta.tombstones == 0 for tables in used for meta in tables)
        if len(used) == 1 and not tree.version.levels[0] and settled:
            return NOTHING
    return choice
