"""Version: order, lookups, edits, and each invariant broken by name."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from versions import random_version, table, version

from lsm.tree.version import LEVELS, Version, hull


def test_empty() -> None:
    empty = Version.empty()
    empty.check()
    assert len(empty.levels) == LEVELS and empty.table_count() == 0 and list(empty.tables()) == []
    assert not empty.deeper_has_overlap(0, b"", b"z") and empty.find(b"a", 1) is None
    assert "no tables" in str(empty)


def test_edit_sorts_each_level_and_leaves_the_old_version_alone() -> None:
    old = version([table(3, "a", "m"), table(5, "c", "z")], [table(2, "p", "q"), table(1, "a", "c")])
    assert [[t.number for t in level] for level in old.levels[:2]] == [[5, 3], [1, 2]]
    new = old.edit(add=[(1, table(9, "d", "e"))], remove=[2])
    assert [t.number for t in new.levels[1]] == [1, 9]
    assert [t.number for t in old.levels[1]] == [1, 2]
    moved = new.edit(add=[(2, new.levels[1][0])], remove=[1])
    assert moved.level_of(1) == 2 and moved.level_of(77) is None


def test_lookups() -> None:
    v = version(
        [table(9, "b", "f")],
        [table(1, "a", "c"), table(2, "e", "g"), table(3, "k", "k")],
        [table(4, "h", "j")],
    )

    def numbers(level: int, low: bytes, high: bytes) -> list[int]:
        return [t.number for t in v.overlapping(level, low, high)]

    assert numbers(1, b"", b"zz") == [1, 2, 3]
    assert numbers(1, b"c", b"e") == [1, 2]
    assert numbers(1, b"c\0", b"d") == []
    assert numbers(1, b"k", b"k") == [3]
    assert numbers(0, b"f", b"z") == [9] and numbers(0, b"f\0", b"z") == []
    found = v.find(b"f", 1)
    assert found is not None and found.number == 2
    assert v.find(b"d", 1) is None and v.find(b"z", 1) is None
    assert v.deeper_has_overlap(1, b"i", b"i") and not v.deeper_has_overlap(2, b"i", b"i")
    assert not v.deeper_has_overlap(1, b"a", b"c")
    assert (v.table_count(), v.table_count(1), v.level_bytes(1), v.total_bytes()) == (5, 3, 300, 500)
    assert hull(v.levels[1]) == (b"a", b"k")


def test_the_empty_key_is_a_key() -> None:
    v = version([], [table(1, b"", b""), table(2, b"\0", b"\xff")])
    found = v.find(b"", 1)
    assert found is not None and found.number == 1
    assert [t.number for t in v.overlapping(1, b"", b"")] == [1]


@pytest.mark.parametrize(
    ("levels", "word"),
    [
        (([table(1, "a", "z"), table(2, "a", "z")],), "newer"),
        (([table(2, "a", "m", (5, 9)), table(1, "k", "z", (1, 5))],), "overlap in keys and in sequences"),
        (([], [table(1, "a", "c"), table(2, "c", "d")]), "overlap"),
        (([], [table(1, "x", "z"), table(2, "c", "d")]), "not in order"),
        (([table(1, "a", "b")], [table(1, "x", "z")]), "twice"),
    ],
)
def test_broken_invariants(levels: tuple[list[Any], ...], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Version(tuple(map(tuple, levels))).check()
    with pytest.raises(ValueError):
        Version(()).check()


def test_tables_with_mingled_sequences_are_fine_when_their_keys_are_apart() -> None:
    version([table(1, "a", "c", (1, 50)), table(2, "d", "f", (2, 49)), table(3, "g", "h", (1, 50))])


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"size": 0},
        {"entries": 0},
        {"tombstones": 11},
        {"smallest": b"zz"},
        {"min_sequence": 200},
        {"max_sequence": 1 << 56},
        {"crc": 1 << 32},
        {"largest": b"z" * 65_536},
        {"smallest": "a"},
        {"size": True},
        {"created": -1},
        {"key_bytes": None},
        {"value_bytes": 1 << 63},
    ],
)
def test_broken_tables(change: dict[str, Any]) -> None:
    good = table(1, "a", "z")
    good.check()
    with pytest.raises(ValueError, match="table"):
        Version.empty().edit([(1, dataclasses.replace(good, **change))])


def test_edits_that_cannot_be() -> None:
    v = version([table(1, "a", "b")])
    with pytest.raises(ValueError, match=r"\[7\].*not in the version"):
        v.edit(remove=[7])
    with pytest.raises(ValueError, match="level 7"):
        v.edit(add=[(7, table(2, "a", "b"))])
    with pytest.raises(ValueError, match="twice"):
        v.edit(add=[(3, table(1, "a", "b"))])


def test_lookups_agree_with_a_plain_search() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        v = random_version(chance)
        for _ in range(30):
            low, high = sorted(b"%05d" % chance.randrange(220) for _ in range(2))
            for level, tables in enumerate(v.levels):
                plain = tuple(t for t in tables if t.overlaps(low, high))
                assert v.overlapping(level, low, high) == plain, f"seed {seed}"
                if level:
                    assert v.find(low, level) == next((t for t in tables if t.overlaps(low, low)), None)
