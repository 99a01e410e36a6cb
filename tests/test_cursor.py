"""Cursors: seek, next, prev, first, last over one moment of the store, in any order of calls."""

import bisect

import lsm
import pytest
from model import TINY, random_key, random_value

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py

KEYS = [b"", b"a", b"ab", b"b", b"b\xff", b"d", b"\xff", b"\xff\xff"]


@pytest.fixture(params=["memtable", "tables", "both"])
def few(request, db):
    db.write_many((key, b"v" + key) for key in KEYS[::2])
    if request.param != "memtable":
        db.flush()
    db.write_many((key, b"v" + key) for key in KEYS[1::2])
    if request.param == "tables":
        db.flush()
        db.compact()
    return db


def position(cursor):
    """The key the cursor stands on, or None; key, value and valid must tell the same story."""
    if not cursor.valid:
        assert cursor.key is None and cursor.value is None
        return None
    assert cursor.value == b"v" + cursor.key
    return cursor.key


def test_a_new_cursor_stands_nowhere(few):
    assert position(few.cursor()) is None


def test_first_and_last_find_the_ends(few):
    cursor = few.cursor()
    assert cursor.first() is True and position(cursor) == b""
    assert cursor.last() is True and position(cursor) == b"\xff\xff"


def test_walking_forward_and_backward_meets_every_key_once(few):
    cursor = few.cursor()
    seen = []
    cursor.first()
    while cursor.valid:
        seen.append(position(cursor))
        cursor.next()
    assert seen == KEYS
    cursor.last()
    seen = []
    while cursor.valid:
        seen.append(position(cursor))
        cursor.prev()
    assert seen == KEYS[::-1]


@pytest.mark.parametrize("key", [b"", b"\x00", b"a", b"aa", b"b", b"b\xfe", b"b\xff", b"c", b"d", b"\xfe", b"\xff",
                                 b"\xff\x00", b"\xff\xff", b"\xff\xff\x00", b"\xff" * 10])
def test_seek_finds_the_first_at_or_after_and_seek_before_the_last_before(few, key):
    cursor = few.cursor()
    at = bisect.bisect_left(KEYS, key)
    assert cursor.seek(key) is (at < len(KEYS))
    assert position(cursor) == (KEYS[at] if at < len(KEYS) else None)
    assert cursor.seek_before(key) is (at > 0)
    assert position(cursor) == (KEYS[at - 1] if at > 0 else None)


def test_turning_round_anywhere_steps_to_the_neighbour(few):
    cursor = few.cursor()
    for at in range(1, len(KEYS) - 1):
        assert cursor.seek(KEYS[at])
        assert cursor.next() is True and position(cursor) == KEYS[at + 1]
        assert cursor.prev() is True and position(cursor) == KEYS[at]
        assert cursor.prev() is True and position(cursor) == KEYS[at - 1]
        assert cursor.next() is True and position(cursor) == KEYS[at]


def test_stepping_off_an_end_says_so_and_can_be_left_by_seeking(few):
    cursor = few.cursor()
    cursor.last()
    assert cursor.next() is False and position(cursor) is None
    assert cursor.next() is False and position(cursor) is None
    assert cursor.seek(b"a") and position(cursor) == b"a"
    cursor.first()
    assert cursor.prev() is False and position(cursor) is None
    assert cursor.prev() is False and position(cursor) is None
    assert cursor.last() and position(cursor) == b"\xff\xff"


def test_a_cursor_on_an_empty_database_never_finds_anything(db):
    cursor = db.cursor()
    for move in (cursor.first, cursor.last, cursor.next, cursor.prev):
        assert move() is False and position(cursor) is None
    assert cursor.seek(b"") is False and cursor.seek_before(b"\xff") is False


def test_a_cursor_closes_by_with_and_then_refuses(few):
    with few.cursor() as cursor:
        assert cursor.first()
    cursor.close()
    for use in (cursor.first, cursor.last, cursor.next, cursor.prev, lambda: cursor.seek(b"a"),
                lambda: cursor.seek_before(b"a"), lambda: cursor.key, lambda: cursor.value):
        with pytest.raises(lsm.ClosedError):
            use()


def test_a_cursor_walks_the_moment_it_was_opened(path):
    with lsm.open(path, **TINY) as db:
        keys = [b"%05d" % number for number in range(1500)]
        db.write_many((key, b"v" + key) for key in keys)
        cursor = db.cursor()
        assert cursor.seek(keys[700])
        db.clear()
        db.write_many((key + b".5", b"new") for key in keys)
        db.flush()
        db.compact()
        assert position(cursor) == keys[700]
        for at in range(701, 1500):
            assert cursor.next() and position(cursor) == keys[at]
        assert not cursor.next()
        assert cursor.seek_before(keys[700])
        for at in range(699, -1, -1):
            assert position(cursor) == keys[at]
            cursor.prev()
        assert not cursor.valid
        cursor.close()


@pytest.mark.parametrize("options", [{}, TINY], ids=["default", "tiny"])
def test_a_random_walk_agrees_with_a_sorted_list(path, rng, options):
    model = {}
    with lsm.open(path, **options) as db:
        for number in range(1500):
            key, value = random_key(rng), random_value(rng, number)[:100]
            if rng.random() < 0.75:
                db[key] = model[key] = value
            else:
                db.delete(key)
                model.pop(key, None)
            if number % 400 == 399:
                db.flush()
        keys = sorted(model)
        cursor = db.cursor()
        at = None
        for step in range(8000):
            move = rng.choice(("next", "next", "next", "prev", "prev", "prev", "seek", "seek_before", "first", "last"))
            if at is None and move in ("next", "prev"):
                move = "seek"
            if move == "next":
                at = at + 1
            elif move == "prev":
                at = at - 1
            elif move == "first":
                at = 0
            elif move == "last":
                at = len(keys) - 1
            target = random_key(rng)
            if move == "seek":
                at = bisect.bisect_left(keys, target)
            elif move == "seek_before":
                at = bisect.bisect_left(keys, target) - 1
            if at is not None and not 0 <= at < len(keys):
                at = None
            found = getattr(cursor, move)(*((target,) if move.startswith("seek") else ()))
            assert found is (at is not None) is cursor.valid, (step, move)
            expected = (None, None) if at is None else (keys[at], model[keys[at]])
            assert (cursor.key, cursor.value) == expected, (step, move, target)
