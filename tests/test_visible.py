"""What a reader at one moment sees of many versions: held, at every moment, against replaying the writes up to it."""
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import DELETE, PUT
from test_merge import KEYS, Sources, spread

from lsm import _core

BETWEEN = [*KEYS, b"aa", b"\x01", b"\xfe", b"\xff" * 10]


def rows_at(entries, sequence, lower=None, upper=None):
    """The sorted rows after the writes up to `sequence`: the definition."""
    state = {}
    for key, _, kind, value in sorted(entries, key=lambda entry: entry[1]):
        if _ <= sequence:
            state[key] = value if kind == PUT else None
    return [(key, value) for key, value in sorted(state.items())
            if value is not None and (lower is None or key >= lower) and (upper is None or key < upper)]


def all_forward(rows):
    found, row = [], rows.first()
    while row is not None:
        found.append(row)
        row = rows.next()
    return found


def all_backward(rows):
    found, row = [], rows.last()
    while row is not None:
        found.append(row)
        row = rows.prev()
    return found[::-1]


def either(index, rows):
    return rows[index] if 0 <= index < len(rows) else None


def test_nothing_is_visible_of_nothing():
    rows = _core._VisibleWalk(_core.View(Sources().directory, (), ()))
    assert [rows.first(), rows.last(), rows.seek(b""), rows.seek_before(b"z"), rows.next(), rows.prev()] == [None] * 6


@pytest.mark.parametrize("seed", range(4))
def test_every_moment_of_many_versions(seed):
    sources, view = spread(seed)
    for sequence in range(max(entry[1] for entry in sources.entries) + 2):
        expected = rows_at(sources.entries, sequence)
        rows = _core._VisibleWalk(view, sequence)
        assert all_forward(rows) == expected and all_backward(rows) == expected, sequence
        assert [(key, _core._view_get(view, key, sequence)) for key in sorted(KEYS)
                if _core._view_get(view, key, sequence) is not None] == expected


@pytest.mark.parametrize("seed", range(2))
def test_next_after_prev_and_prev_after_next_at_every_position(seed):
    sources, view = spread(seed)
    for sequence in range(0, 110, 4):
        expected = rows_at(sources.entries, sequence)
        for at, row in enumerate(expected):
            for reach in ("seek", "walk", "walk back"):
                rows = _core._VisibleWalk(view, sequence)
                if reach == "seek":
                    assert rows.seek(row[0]) == row
                else:
                    there = rows.first() if reach == "walk" else rows.last()
                    while there != row:
                        there = rows.next() if reach == "walk" else rows.prev()
                for first, second, step in (("next", "prev", 1), ("prev", "next", -1)):
                    assert getattr(rows, first)() == either(at + step, expected)
                    if either(at + step, expected) is None:
                        rows.seek(row[0])
                    else:
                        assert getattr(rows, second)() == row


@pytest.mark.parametrize("seed", range(2))
def test_seeking_anywhere_between_any_bounds(seed):
    sources, view = spread(seed)
    chance = random.Random(seed)
    for lower in [None, b"", b"a", b"aaaaaaaa", b"\xff"]:
        for upper in [None, b"", b"aaaaaaaa\0", b"b", b"\xff" * 9]:
            sequence = chance.randrange(110)
            expected = rows_at(sources.entries, sequence, lower, upper)
            rows = _core._VisibleWalk(view, sequence, lower, upper)
            assert all_forward(rows) == expected and all_backward(rows) == expected
            for key in BETWEEN:
                at = sum(row[0] < key for row in expected)
                assert rows.seek(key) == either(at, expected)
                if at < len(expected):
                    assert rows.prev() == either(at - 1, expected)
                assert rows.seek_before(key) == either(at - 1, expected)
                if at > 0:
                    assert rows.next() == either(at, expected)


@pytest.mark.parametrize("seed", range(6))
def test_wandering_about(seed):
    sources, view = spread(seed)
    chance = random.Random(seed)
    sequence = chance.randrange(40, 110)
    expected = rows_at(sources.entries, sequence)
    rows, at = _core._VisibleWalk(view, sequence), None
    for _ in range(600):
        move = chance.choice(["next", "prev"] * 5 + ["first", "last", "seek", "seek_before"])
        if move in ("seek", "seek_before"):
            key = chance.choice(BETWEEN)
            at = sum(row[0] < key for row in expected) - (move == "seek_before")
            row = getattr(rows, move)(key)
        else:
            row = getattr(rows, move)()
            if move in ("first", "last"):
                at = 0 if move == "first" else len(expected) - 1
            elif at is not None:
                at += 1 if move == "next" else -1
        assert row == (either(at, expected) if at is not None else None)
        at = at if row is not None else None


def test_a_key_of_a_thousand_versions_and_long_runs_of_deleted_keys():
    sources = Sources()
    sources.run(1, [(b"%04d" % n, n + 1, PUT, b"old") for n in range(500)], [b"0100", b"0300"])
    sources.table(0, [(b"%04d" % n, 1000 + n, DELETE, b"") for n in range(1, 499)])
    sources.memtable([(b"0250", 2000 + n, PUT if n % 2 else DELETE, b"%d" % n if n % 2 else b"") for n in range(1000)])
    view = sources.view()
    for sequence in (499, 1000, 1249, 1250, 1999, 2000, 2001, 2500, 2999):
        expected = rows_at(sources.entries, sequence)
        rows = _core._VisibleWalk(view, sequence)
        assert all_forward(rows) == expected and all_backward(rows) == expected


def test_rows_put_meanwhile_are_newer_than_the_moment_and_not_seen():
    sources, view = spread(3)
    expected = rows_at(sources.entries, 105)
    for walk, start, step in ((_core._VisibleWalk(view, 105), "first", "next"), (_core._VisibleWalk(view, 105), "last", "prev")):
        found, row = [], getattr(walk, start)()
        while row is not None:
            found.append(row)
            for key in (row[0], row[0] + b"\0", row[0][:-1]):
                sources.memtables[0].put(key, sources.memtables[0].last_sequence + 1, len(found) % 2, b"")
            row = getattr(walk, step)()
        assert found == (expected if start == "first" else expected[::-1])
    sources.memtables[0].check()


WRITES = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=40)
MOVES = st.lists(st.sampled_from(["next", "prev", "first", "last"]) | st.tuples(
    st.sampled_from(["seek", "seek_before"]), st.sampled_from(BETWEEN)), max_size=30)
BOUND = st.none() | st.sampled_from(BETWEEN)


@given(WRITES, st.integers(0, 41), st.lists(st.integers(0, 41), max_size=2), BOUND, BOUND, MOVES)
def test_any_writes_moment_bounds_and_moves(written, sequence, cuts, lower, upper, moves):
    entries = [(key, n, PUT if put else DELETE, b"%d" % n if put else b"") for n, (key, put) in enumerate(written, 1)]
    sources, low, high = Sources(), min(cuts, default=0), max(cuts, default=0)
    if entries[:low]:
        sources.run(2, entries[:low], KEYS[4::3])
    if entries[low:high]:
        sources.table(0, entries[low:high])
    sources.memtable(entries[high:])
    expected = rows_at(entries, sequence, lower, upper)
    rows, at = _core._VisibleWalk(sources.view(), sequence, lower, upper), None
    for move in moves:
        if isinstance(move, tuple):
            at = sum(row[0] < move[1] for row in expected) - (move[0] == "seek_before")
            row = getattr(rows, move[0])(move[1])
        else:
            row = getattr(rows, move)()
            at = {"first": 0, "last": len(expected) - 1}.get(move, at)
            if at is not None and move in ("next", "prev"):
                at += 1 if move == "next" else -1
        assert row == (either(at, expected) if at is not None else None)
        at = at if row is not None else None
