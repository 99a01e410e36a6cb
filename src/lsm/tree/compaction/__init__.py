"""Compaction policies: pure functions of a version that choose what to do next (docs/policies.md).

>>> from lsm.options import Options
>>> policy_of(Options(compaction="tiered"))
Tiered(trigger_runs=8, size_ratio_percent=10, min_merge=2, space_percent=200)
"""

from __future__ import annotations

from typing import cast

from lsm.errors import OptionError
from lsm.options import Options, StoredPolicy
from lsm.tree.compaction.choice import (
    NOTHING,
    Choice,
    Drop,
    Merge,
    Move,
    Nothing,
    Policy,
    is_harmless,
    is_last,
    merge,
    merge_everything,
    movable,
    older_tables,
    validate,
)
from lsm.tree.compaction.fifo import Fifo
from lsm.tree.compaction.leveled import Leveled
from lsm.tree.compaction.tiered import Tiered

__all__ = [
    "NOTHING",
    "Choice",
    "Drop",
    "Fifo",
    "Leveled",
    "Merge",
    "Move",
    "Nothing",
    "Policy",
    "Tiered",
    "is_harmless",
    "is_last",
    "merge",
    "merge_everything",
    "movable",
    "older_tables",
    "policy_of",
    "validate",
]

BUILT_IN: dict[str, type[Leveled] | type[Tiered] | type[Fifo]] = {
    "leveled": Leveled,
    "tiered": Tiered,
    "fifo": Fifo,
}


def policy_of(options: Options) -> Policy:
    """The policy object that the options mean; a stored policy of the user's own must be passed again."""
    wanted = options.compaction
    if isinstance(wanted, str):
        return BUILT_IN[wanted]()
    if not isinstance(wanted, StoredPolicy):
        return cast(Policy, wanted)
    if wanted.name not in BUILT_IN:
        raise OptionError(
            "compaction",
            wanted.name,
            "the policy object again: this database was last opened with a policy of that class, which "
            "is not stored; or one of 'leveled', 'tiered', 'fifo' to change to it",
        )
    try:
        return BUILT_IN[wanted.name](**dict(wanted.parameters))
    except TypeError as error:
        raise OptionError("compaction", wanted, f"parameters that {wanted.name} has ({error})") from error
