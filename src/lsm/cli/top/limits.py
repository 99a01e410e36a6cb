"""Limits: how much a level may hold before the tree's policy, or its writers, take notice. Pure functions."""
from __future__ import annotations

from lsm.errors import OptionError
from lsm.options import Options
from lsm.tree.compaction import Fifo, Leveled, policy_of
from lsm.tree.tree import SEALED_MAX


def memory_limit(options: Options) -> int:
    """Bytes of the memtable that is written and of those that may wait to be flushed, before writers wait."""
    return options.memtable_bytes * (1 + SEALED_MAX)


def limit(options: Options | None, level: int) -> tuple[int | None, str]:
    """(limit, "bytes" or "tables") of a level. Of level 0 the tables that start a merge, or at which writers are slowed; of a
    deeper one of the leveled policy its target; (None, "bytes") where there is none."""
    if options is None:
        return None, "bytes"
    try:
        policy = policy_of(options)
    except OptionError:                         # a policy of the user's own: the database knows it by its name alone
        policy = None
    if isinstance(policy, Fifo):
        return (policy.max_bytes, "bytes") if level == 0 else (None, "bytes")
    if isinstance(policy, Leveled):
        if level == 0:
            return min(policy.trigger_tables, options.slowdown_tables - 1), "tables"
        return (policy.target_bytes(level), "bytes") if level < policy.levels - 1 else (None, "bytes")
    return (options.slowdown_tables, "tables") if level == 0 else (None, "bytes")
