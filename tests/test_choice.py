"""Choices and their validation: what must be refused, by name, and that what is accepted is right."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulate import Simulation
from versions import random_version, table, version

from lsm.errors import OptionError, PolicyError
from lsm.options import Options, StoredPolicy
from lsm.tree.compaction import (
    NOTHING,
    Choice,
    Drop,
    Fifo,
    Leveled,
    Merge,
    Move,
    Nothing,
    Policy,
    Tiered,
    is_harmless,
    merge_everything,
    policy_of,
    validate,
)
from lsm.tree.version import Version

#   level 0:  6 = a..e (newest)   5 = m..p   4 = d..n
#   level 1:  3 = a..c            2 = f..h   7 = x..z
#   level 2:  1 = b..g
TREE = version(
    [table(6, "a", "e"), table(5, "m", "p"), table(4, "d", "n")],
    [table(3, "a", "c"), table(2, "f", "h"), table(7, "x", "z")],
    [table(1, "b", "g")],
)


@pytest.mark.parametrize(
    "choice",
    [
        NOTHING,
        Move((7,), 1, 2),
        Move((7,), 1, 6),
        Merge((4, 5, 6, 2, 3), 1),
        Merge((4, 2), 1),
        Merge((4, 5), 0),
        Merge((6, 5, 4), 0),
        Merge((3, 1), 2, True),
        Merge((3, 2, 1), 2, True),
        Merge((7,), 1, True),
        Merge((7,), 4, True),
        Merge((6, 5, 4, 3, 2, 7, 1), 6, True),
        Drop((1,), "old"),
        Drop((7,), "old"),
        Drop((1, 2, 4), "old"),
        Drop((3, 2, 1), "old"),
    ],
    ids=str,
)
def test_harmless(choice: Choice) -> None:
    validate(TREE, choice)
    assert is_harmless(TREE, choice)


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        (None, "answers Nothing, Move, Merge or Drop"),
        ("merge", "answers Nothing"),
        (Nothing, "answers Nothing"),
        (Move((), 1, 2), "at least one"),
        (Move([7], 1, 2), "tuple"),  # type: ignore[arg-type]
        (Move((True,), 1, 2), "table number"),
        (Move((7, 7), 1, 2), "twice"),
        (Move((99,), 1, 2), r"\[99\] are not in the version"),
        (Move((7,), 2, 3), "is in level 1, not 2"),
        (Move((7,), 1, 1), "deeper"),
        (Move((1,), 2, 1), "deeper"),
        (Move((7,), 1, 7), "levels 0 to 6"),
        (Move((3,), 1, 2), "table 1 in level 2 holds older"),  # overlaps its target
        (Move((3,), 1, 3), "table 1 in level 2 holds older"),  # jumps over older writes
        (Move((5,), 0, 1), "table 4 in level 0 holds older"),  # leaves an older one behind in level 0
        (Move((5, 4), 0, 1), "holds older|overlap"),
        (Merge((), 1), "at least one"),
        (Merge((6, 3), 1), "table 4 in level 0 holds older"),  # newer leaves before older
        (Merge((4,), 1), "table 2 in level 1 holds older"),
        (Merge((6, 5, 4, 3), 1), "table 2"),
        (Merge((3,), 2), "table 1 in level 2 holds older"),
        (Merge((3,), 3), "table 1 in level 2 holds older"),
        (Merge((3, 7), 1), "table 2 of level 1 lies within"),
        (Merge((1,), 1), "would rise"),
        (Merge((3, 1), 1), "would rise"),
        (Merge((4, 2), 0), "would rise"),
        (Merge((6, 4), 0), "table 5 was written between"),
        (Merge((7,), 9), "levels 0 to 6"),
        (Merge((3, 2), 1, True), "last_level"),  # table 1 lies beneath
        (Merge((6, 5, 4), 0, True), "last_level"),
        (Merge((5,), 0, True), "last_level"),  # table 4 is older, in level 0
        (Merge((7,), 1, 1), "True or False"),  # type: ignore[arg-type]
        (Drop((), "old"), "at least one"),
        (Drop((1,), ""), "reason"),
        (Drop((3,), "old"), "table 1 in level 2"),  # older values would reappear
        (Drop((6,), "old"), "table [1-4] in level"),
        (Drop((4, 1), "old"), "table 2 in level 1"),
    ],
    ids=str,
)
def test_refused(choice: Any, word: str) -> None:
    with pytest.raises(PolicyError, match=word) as caught:
        validate(TREE, choice)
    assert caught.value.choice is choice


def test_tables_side_by_side_in_level_0_may_hide_a_third_between_them() -> None:
    v = version([table(1, "a", "c", (50, 100)), table(2, "x", "z", (2, 99)), table(3, "m", "n", (1, 98))])
    with pytest.raises(PolicyError, match="table 3 was written between"):
        validate(v, Merge((1, 2), 0))
    validate(v, Merge((2, 3), 0, True))
    for policy in (Tiered(trigger_runs=2), Fifo(trigger_tables=2), Leveled(trigger_tables=1)):
        validate(v, policy.choose(v, Options()))


def test_merge_everything() -> None:
    assert merge_everything(Version.empty()) == NOTHING
    assert merge_everything(version([table(1, "a", "b")])) == Merge((1,), 1, True)
    assert merge_everything(TREE) == Merge((6, 5, 4, 3, 2, 7, 1), 2, True)
    assert merge_everything(TREE, 6) == Merge((6, 5, 4, 3, 2, 7, 1), 6, True)
    assert merge_everything(TREE, 1) == Merge((6, 5, 4, 3, 2, 7, 1), 2, True)


POLICIES: list[Policy] = [
    Leveled(),
    Leveled(ratio=2, base_bytes=500, trigger_tables=1, levels=4),
    Leveled(base_bytes=1, levels=7),
    Leveled(trigger_tables=2, levels=2),
    Tiered(),
    Tiered(trigger_runs=2),
    Tiered(3, 100, 3, 10),
    Fifo(),
    Fifo(max_bytes=9000, ttl_seconds=300, trigger_tables=2),
    Fifo(max_bytes=1, trigger_tables=2),
]


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    levels=st.integers(2, 7),
    policy=st.sampled_from(POLICIES),
    slowdown=st.integers(2, 12),
)
def test_every_choice_on_any_version_is_harmless(
    seed: int, levels: int, policy: Policy, slowdown: int
) -> None:
    v = random_version(random.Random(seed), levels)
    options = Options(slowdown_tables=slowdown)
    choice = policy.choose(v, options)
    validate(v, choice)
    assert choice == policy.choose(v, options)
    validate(v, merge_everything(v))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_validate_accepts_loses_nothing(seed: int) -> None:
    """Random choices, most of them wrong: those accepted are carried out, and every key read back."""
    chance = random.Random(seed)
    run = Simulation.of(Leveled(), table_bytes=4 * 1024)
    for _ in range(25):
        if chance.random() < 0.5:
            low = chance.randrange(30)
            keys = [chance.randrange(low, 40) for _ in range(chance.randint(1, 8))]
            run.flush([(key, chance.random() < 0.6) for key in keys])
        numbers = [t.number for t in run.version.tables()]
        for _ in range(20):
            some = tuple(chance.sample(numbers, min(len(numbers), chance.randint(1, 5))))
            level = chance.randrange(4)
            choice: Move | Merge = Merge(some, level, chance.random() < 0.5)
            if some and chance.random() < 0.5:
                choice = Move(some, run.version.level_of(some[0]) or 0, level)
            if is_harmless(run.version, choice):
                run.carry_out(choice)
                run.check_against_model()
                numbers = [t.number for t in run.version.tables()]
                if not numbers:
                    break
    run.compact()
    run.check_against_model()
    assert sum(t.entries for t in run.version.tables()) == sum(put for _, put in run.model.values())


class Mine:
    def choose(self, version: Version, options: Options) -> Choice:
        return NOTHING


def test_which_policy_the_options_mean() -> None:
    mine = Mine()
    assert isinstance(mine, Policy)
    assert policy_of(Options()) == Leveled() and policy_of(Options(compaction="fifo")) == Fifo()
    assert policy_of(Options(compaction=mine)) is mine
    for policy in (Leveled(ratio=4), Tiered(size_ratio_percent=50), Fifo(max_bytes=10_000, ttl_seconds=60)):
        options = Options(compaction=policy)
        again = Options.from_json(options.to_json())
        assert policy_of(options) is policy and policy_of(again) == policy
        assert again.to_json() == options.to_json()
    with pytest.raises(OptionError, match=r"test_choice\.Mine.*again.*'leveled'"):
        policy_of(Options.from_json(Options(compaction=mine).to_json()))
    for stored in (StoredPolicy("leveled", (("speed", 9),)), StoredPolicy("tiered", (("trigger_runs", -1),))):
        with pytest.raises(OptionError):
            policy_of(Options(compaction=stored))


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Leveled, "ratio", 1),
        (Leveled, "base_bytes", 0),
        (Leveled, "levels", 8),
        (Leveled, "trigger_tables", 0),
        (Tiered, "trigger_runs", 1),
        (Tiered, "min_merge", 1),
        (Tiered, "space_percent", 0),
        (Tiered, "trigger_runs", 2.5),
        (Fifo, "max_bytes", 0),
        (Fifo, "ttl_seconds", 0),
        (Fifo, "trigger_tables", True),
        (Fifo, "max_bytes", None),
    ],
)
def test_parameters_are_checked(kind: Any, name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{kind.__name__}.{name}"):
        kind(**{name: value})
