"""The three policies: literal versions and what they choose, then thousands of simulated flushes."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from simulate import ENTRY_BYTES, Simulation, drive
from versions import table, version

from lsm.options import Options
from lsm.tree.compaction import NOTHING, Choice, Drop, Fifo, Leveled, Merge, Move, Policy, Tiered, validate
from lsm.tree.version import Version

LEVELED = Leveled(ratio=10, base_bytes=1000, trigger_tables=4)
TIERED = Tiered(trigger_runs=4)
FIFO = Fifo(max_bytes=1000, ttl_seconds=60, trigger_tables=4)


def row(first: int, *ranges: str, **change: Any) -> list[Any]:
    """Tables numbered from `first`, written "a-m"."""
    return [table(number, text[0], text[-1], **change) for number, text in enumerate(ranges, first)]


def level_0(*ranges: str, **change: Any) -> list[Any]:
    """Tables 1, 2, ... of level 0, oldest first."""
    return row(1, *ranges, **change)


CASES: list[tuple[str, Policy, Version, Choice]] = [
    ("nothing in it", LEVELED, Version.empty(), NOTHING),
    ("below the trigger", LEVELED, version(level_0("a-z", "a-z", "a-z"), row(10, "a-z")), NOTHING),
    (
        "level 0 with all that overlaps",
        LEVELED,
        version(level_0("a-m", "b-n", "c-o", "d-p"), row(10, "a-b", "e-f", "q-r")),
        Merge((4, 3, 2, 1, 10, 11), 1, True),
    ),
    (
        "not the last while level 2 overlaps",
        LEVELED,
        version(level_0("a-m", "b-n", "c-o", "d-p"), row(10, "a-b"), row(20, "c-d")),
        Merge((4, 3, 2, 1, 10), 1, False),
    ),
    (
        "the oldest and what overlaps it, the rest stays",
        LEVELED,
        version(level_0("a-c", "p-r", "b-d", "q-s"), row(10, "a-b", "p-q")),
        Merge((3, 1, 10), 1, True),
    ),
    (
        "a chain of overlaps goes together",
        LEVELED,
        version(level_0("a-c", "e-g", "c-e", "x-z"), row(10, "a-z")),
        Merge((3, 2, 1, 10), 1, True),
    ),
    (
        "ascending tables move",
        LEVELED,
        version(level_0("m-n", "o-p", "q-r", "s-t"), row(10, "a-b")),
        Move((1, 2, 3, 4), 0, 1),
    ),
    (
        "only the oldest of overlapping tables moves",
        LEVELED,
        version(level_0("m-p", "o-q", "p-r", "s-t")),
        Move((1, 4), 0, 1),
    ),
    (
        "mostly tombstones over nothing are rewritten, not moved",
        LEVELED,
        version(level_0("m-n", "o-p", "q-r", "s-t", tombstones=6)),
        Merge((1,), 1, True),
    ),
    (
        "level 1 over its target: the table with the least below",
        LEVELED,
        version([], row(1, "a-c", "d-f", "g-i", size=400), row(10, "a-b", "c-d", "g-h", size=500)),
        Merge((2, 11), 2, True),
    ),
    (
        "level 1 over its target: nothing below",
        LEVELED,
        version([], row(1, "a-c", "d-f", "g-i", size=400), row(10, "a-b", "g-h", size=500)),
        Move((2,), 1, 2),
    ),
    (
        "the greater score first: level 1",
        LEVELED,
        version(level_0("a-z", "a-z", "a-z", "a-z"), row(10, "a-c", size=3000)),
        Move((10,), 1, 2),
    ),
    (
        "the greater score first: level 0",
        LEVELED,
        version(level_0(*["a-z"] * 8), row(10, "a-c", size=1500)),
        Merge((8, 7, 6, 5, 4, 3, 2, 1, 10), 1, True),
    ),
    ("the last level has no target", LEVELED, version([], row(1, "a-c", size=10**9), count=2), NOTHING),
    ("ten tables too many for their bytes", LEVELED, version([], row(1, *"abcdefghijkl", size=1)), NOTHING),
    (
        "eleven too many: neighbours of similar size",
        LEVELED,
        version([], [*row(1, *"abc", size=50), *row(4, *"defghijklm", size=1)]),
        Merge((4, 5, 6, 7, 8, 9, 10, 11, 12, 13), 1, True),
    ),
    (
        "within the level that has them, over what lies below",
        LEVELED,
        version([], [], row(1, *"abcdefghijklm", size=1), row(20, "a-z")),
        Merge((1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 2, False),
    ),
    (
        "none of similar size",
        Leveled(base_bytes=1 << 40),
        version([], [table(n + 1, name, name, size=5**n) for n, name in enumerate("abcdefghijklm")]),
        NOTHING,
    ),
    ("nothing in it", TIERED, Version.empty(), NOTHING),
    ("below the trigger", TIERED, version(level_0("a-z", "a-z", "a-z")), NOTHING),
    ("the oldest starts the deepest run", TIERED, version(level_0(*["a-z"] * 4)), Move((1,), 0, 6)),
    (
        "everything, for space",
        TIERED,
        version(level_0(*["a-z"] * 3), [], [], [], [], [], row(10, "a-z", size=150)),
        Merge((3, 2, 1, 10), 6, True),
    ),
    (
        "the newest of similar size, down to above the next run",
        TIERED,
        version(level_0("a-z", "a-z", "a-z"), [], [], [], [], [], row(10, "a-z", size=900)),
        Merge((3, 2, 1), 5, False),
    ),
    (
        "within level 0 when the next run is there",
        TIERED,
        version(
            [table(1, "a", "z", size=5000), table(2, "a", "z"), table(3, "a", "z")],
            [],
            [],
            [],
            [],
            [],
            row(10, "a-z", size=9000),
        ),
        Merge((3, 2), 0, False),
    ),
    (
        "a deep run joins when it is similar",
        TIERED,
        version(level_0("a-z", "a-z"), [], [], [], [], row(20, "a-z", size=210), row(10, "a-z", size=9000)),
        Merge((2, 1, 20), 5, False),
    ),
    (
        "no similar sizes: the newest two",
        TIERED,
        version(
            [table(3, "a", "z")],
            [],
            [],
            [],
            row(20, "a-z", size=200),
            row(30, "a-z", size=900),
            row(10, "a-z", size=9000),
        ),
        Merge((3, 20), 4, False),
    ),
    (
        "ascending tables move",
        TIERED,
        version(level_0("m-n", "o-p", "q-r"), [], [], row(10, "a-b")),
        Move((3, 2, 1), 0, 3),
    ),
    ("nothing in it", FIFO, Version.empty(), NOTHING),
    ("within its bytes", FIFO, version(level_0("a-z", "a-z", "a-z")), NOTHING),
    (
        "over its bytes: the oldest",
        FIFO,
        version(level_0("a-z", "a-z", "a-z", size=400)),
        Drop((1,), "over 1000 bytes"),
    ),
    (
        "over its bytes: the deepest with what hides it",
        FIFO,
        version(
            [table(5, "a", "z", size=400)], [table(1, "a", "c", size=400)], [table(2, "b", "d", size=400)]
        ),
        Drop((1, 2), "over 1000 bytes"),
    ),
    ("the newest stays, however large", FIFO, version(level_0("a-z", size=5000)), NOTHING),
    (
        "expired",
        FIFO,
        version([table(1, "a", "b"), table(2, "a", "z"), table(3, "c", "d", created=62_500_000)]),
        Drop((1, 2), "older than 60 seconds"),
    ),
    ("ascending tables move", FIFO, version(level_0("a-b", "c-d", "e-f", "g-h")), Move((4, 3, 2, 1), 0, 1)),
    (
        "similar neighbours merge",
        FIFO,
        version(
            [table(1, "a", "z", size=200), *row(2, "a-z", "a-z", "a-z", size=60)], row(9, "a-z", size=60)
        ),
        Merge((4, 3, 2), 0, False),
    ),
]


@pytest.mark.parametrize(
    ("policy", "of", "expected"),
    [case[1:] for case in CASES],
    ids=[f"{type(policy).__name__}: {name}" for name, policy, _, _ in CASES],
)
def test_literal(policy: Policy, of: Version, expected: Choice) -> None:
    choice = policy.choose(of, Options())
    assert choice == expected, f"\n{of}"
    validate(of, choice)


def test_level_0_is_kept_below_where_writers_are_slowed_whatever_the_trigger() -> None:
    options = Options(slowdown_tables=3)
    tables = version(level_0("a-z", "a-z"))
    for policy in (Leveled(trigger_tables=50), Tiered(trigger_runs=50), Fifo(trigger_tables=50)):
        assert policy.choose(tables, options) != NOTHING


ALL: list[Policy] = [
    Leveled(base_bytes=64 * ENTRY_BYTES),
    Leveled(ratio=3, base_bytes=32 * ENTRY_BYTES, trigger_tables=2),
    Tiered(),
    Tiered(trigger_runs=4),
    Tiered(size_ratio_percent=100, min_merge=3),
]


@pytest.mark.parametrize("policy", ALL, ids=str)
def test_thousands_of_flushes_with_overwrites_and_deletes(policy: Policy) -> None:
    run = Simulation.of(policy, table_bytes=16 * ENTRY_BYTES)
    for part in range(4):
        drive(run, 500, 10, 600, seed=part, deletes=0.4)
        run.check_against_model()
    assert run.most_level_0 < run.options.slowdown_tables
    assert sum(t.entries for t in run.version.tables()) < 4 * len(run.model), "garbage is collected"
    run.compact()
    run.check_against_model()
    assert {t.tombstones for t in run.version.tables()} <= {0}
    assert sum(t.entries for t in run.version.tables()) == sum(put for _, put in run.model.values())


@pytest.mark.parametrize(
    "policy", [Leveled(base_bytes=64 * ENTRY_BYTES), Tiered(), Fifo(max_bytes=1 << 40)], ids=str
)
def test_ascending_keys_are_never_rewritten(policy: Policy) -> None:
    run = drive(Simulation.of(policy, table_bytes=64 * ENTRY_BYTES), 200, 40, 0, ascending=True)
    assert run.merged == 0 and run.most_level_0 < run.options.slowdown_tables
    run.check_against_model()


@pytest.mark.parametrize("descending", [False, True])
def test_short_lives_leave_few_tables_for_a_logarithmic_price(descending: bool) -> None:
    """One new key a flush, never overlapping: the number of tables stays low, each key is rewritten a few times."""
    price = {}
    for flushes in (100, 1000):
        run = Simulation.of(Leveled(base_bytes=1 << 40), table_bytes=1 << 30)
        for number in range(flushes):
            run.flush([(flushes - number if descending else number, True)])
            run.settle()
            assert run.version.table_count() <= 4 + 2 + 10 + 20, f"\n{run.version}"
        run.check_against_model()
        price[flushes] = run.merged / run.flushed
    assert price[100] < 4 and price[1000] < 8, price


def test_levels_of_small_tables_keep_to_their_number_whatever_their_sizes() -> None:
    random = Random(5)
    run = Simulation.of(Leveled(base_bytes=1 << 40), table_bytes=64 * ENTRY_BYTES)
    keys = list(range(0, 100_000, 100))
    random.shuffle(keys)
    for key in keys[:400]:
        run.flush([(key + n, True) for n in range(random.choice([1, 1, 1, 20]))])
        run.settle()
        need = -(-run.version.level_bytes(1) // run.options.table_bytes)
        assert run.version.table_count(1) <= 2 * need + 30
    run.check_against_model()
    assert run.merged <= 12 * run.flushed


def test_write_amplification_against_theory() -> None:
    """64,000 distinct random keys a table of 64: leveled rewrites each level about ratio/2 to ratio times."""
    figures = {}
    for policy in (Leveled(base_bytes=256 * ENTRY_BYTES), Tiered()):
        run = drive(Simulation.of(policy, table_bytes=64 * ENTRY_BYTES), 300, 64, 1 << 60)
        figures[type(policy)] = run.write_amplification
        assert run.most_level_0 <= 8
        assert sum(t.entries for t in run.version.tables()) == run.flushed
    deep = 3  # levels 1, 2, 3 hold 256, 2,560 and the rest
    assert 1 + deep * 2 <= figures[Leveled] <= 1 + deep * 11
    assert 2 <= figures[Tiered] < figures[Leveled] * 0.7


def test_fifo_keeps_the_newest_within_its_bytes() -> None:
    policy = Fifo(max_bytes=2000 * ENTRY_BYTES)
    run = Simulation.of(policy, table_bytes=64 * ENTRY_BYTES)
    for part in range(20):
        drive(run, 50, 20, 1 << 60, seed=part)
        assert run.version.total_bytes() <= policy.max_bytes
        assert run.most_level_0 < run.options.slowdown_tables
    kept = sorted(s for t in run.version.tables() for s, _ in run.contents[t.number].values())
    assert kept == list(range(run.sequence - len(kept) + 1, run.sequence + 1)), "exactly the newest writes"
    assert len(kept) >= 2000 * 0.5 and "Drop" in run.steps


def test_fifo_never_shows_an_overwritten_value_again() -> None:
    run = drive(
        Simulation.of(Fifo(max_bytes=300 * ENTRY_BYTES), table_bytes=64 * ENTRY_BYTES),
        600,
        10,
        900,
        deletes=0.3,
    )
    for key, (sequence, put) in run.model.items():
        assert run.get(key) in (None, (sequence, put))


def test_a_database_changes_its_policy_at_any_time() -> None:
    run = Simulation.of(Leveled(base_bytes=64 * ENTRY_BYTES), table_bytes=16 * ENTRY_BYTES)
    for part, policy in enumerate([*ALL, *reversed(ALL)]):
        run.policy = policy
        drive(run, 60, 10, 400, seed=part, deletes=0.3)
        run.check_against_model()
    run.policy = Fifo(max_bytes=100 * ENTRY_BYTES)
    drive(run, 60, 10, 400)
    assert run.version.total_bytes() <= 100 * ENTRY_BYTES
