"""Snapshots: a frozen view that nothing moves: not writes, flushes, compactions, nor other snapshots' closing."""

import lsm
import pytest
from model import TINY, contents, random_key, random_value, scanned

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py

BEFORE = {b"a": b"1", b"b": b"2", b"c": b"3", b"ca": b"4"}


def agrees(snapshot, model):
    """Every way of reading a snapshot tells the same `model`."""
    assert contents(snapshot) == model
    assert len(snapshot) == len(model) and list(snapshot) == sorted(model)
    for key, value in model.items():
        assert snapshot.get(key) == value == snapshot[key] and key in snapshot
    assert snapshot.multi_get(sorted(model)) == [model[key] for key in sorted(model)]
    cursor = snapshot.cursor()
    walked, there = [], cursor.first()
    while there:
        walked.append((cursor.key, cursor.value))
        there = cursor.next()
    assert walked == scanned(model)


@pytest.fixture
def snapshot(db):
    db.update(BEFORE)
    with db.snapshot() as view:
        yield view


def change_overwrite(db):
    db.update({key: b"new" for key in BEFORE})


def change_delete(db):
    db.clear()


def change_insert(db):
    db.update({b"": b"x", b"aa": b"x", b"zz": b"x"})


def change_flush(db):
    db.flush()


def change_compact(db):
    db.compact()


def change_everything(db):
    db.flush()
    change_overwrite(db)
    db.flush()
    change_delete(db)
    db.flush()
    change_insert(db)
    db.compact()
    db.compact()


CHANGES = [change_overwrite, change_delete, change_insert, change_flush, change_compact, change_everything]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_snapshot_holds_still_over(db, snapshot, change):
    change(db)
    agrees(snapshot, BEFORE)
    assert snapshot.get(b"zz") is None and b"zz" not in snapshot
    assert snapshot.get(b"zz", b"default") == b"default"
    with pytest.raises(KeyError):
        snapshot[b"zz"]
    assert list(snapshot.scan(prefix=b"c", reverse=True)) == [(b"ca", b"4"), (b"c", b"3")]


def test_the_database_goes_on_while_the_snapshot_stands(db, snapshot):
    db[b"a"] = b"new"
    del db[b"b"]
    db.compact()
    assert dict(db.items()) == {b"a": b"new", b"c": b"3", b"ca": b"4"}
    agrees(snapshot, BEFORE)


def test_a_snapshot_of_an_empty_database_stays_empty(db):
    with db.snapshot() as snapshot:
        db[b"a"] = b"1"
        db.compact()
        agrees(snapshot, {})
        assert not list(snapshot.scan())


def test_a_snapshot_cannot_be_written(snapshot):
    for name in ("put", "delete", "write_batch", "write_many", "clear"):
        assert not hasattr(snapshot, name)
    with pytest.raises(TypeError):
        snapshot[b"a"] = b"2"
    with pytest.raises(TypeError):
        del snapshot[b"a"]


def test_a_closed_snapshot_refuses_and_closes_again(db):
    db[b"a"] = b"1"
    snapshot = db.snapshot()
    rows, cursor = snapshot.scan(), snapshot.cursor()
    snapshot.close()
    snapshot.close()
    for use in (lambda: snapshot.get(b"a"), lambda: snapshot[b"a"], lambda: b"a" in snapshot, snapshot.scan,
                snapshot.cursor, lambda: snapshot.multi_get([b"a"]), lambda: snapshot.multi_get([]), lambda: reversed(snapshot),
                lambda: snapshot.scan_chunks(), lambda: len(snapshot), lambda: iter(snapshot)):
        with pytest.raises(lsm.ClosedError):
            use()
    for use in (lambda: list(rows), cursor.first):  # what was opened from it may go on or refuse, no more
        try:
            use()
        except lsm.ClosedError:
            pass
    assert db[b"a"] == b"1"


def test_a_snapshot_is_gone_through_both_ways(db):
    db.write_many({b"%d" % n: b"" for n in range(5)})
    with db.snapshot() as then:
        db.clear()
        assert list(then) == [b"0", b"1", b"2", b"3", b"4"] and list(reversed(then)) == list(then)[::-1]


def test_snapshots_closed_in_any_order_leave_the_others_alone(path, rng):
    with lsm.open(path, **TINY) as db:
        model, standing = {}, []
        for moment in range(40):
            for number in range(80):
                key = random_key(rng)
                if rng.random() < 0.7:
                    db[key] = model[key] = random_value(rng, number)[:80]
                else:
                    db.delete(key)
                    model.pop(key, None)
            standing.append((db.snapshot(), dict(model)))
            if moment % 8 == 7:
                rng.choice((db.flush, db.compact))()
            if len(standing) > 6:
                snapshot, then = standing.pop(rng.randrange(len(standing)))
                agrees(snapshot, then)
                snapshot.close()
        for snapshot, then in standing:
            agrees(snapshot, then)
            snapshot.close()
        assert contents(db) == model


def test_old_versions_go_once_no_snapshot_needs_them(path):
    with lsm.open(path, compression="none") as db:
        db.write_many((b"%04d" % number, b"v" * 1000) for number in range(500))
        snapshot = db.snapshot()
        db.write_many((b"%04d" % number, b"w" * 1000) for number in range(500))
        db.compact()
        with_both = db.stats().bytes
        assert with_both > 900_000
        assert snapshot[b"0123"] == b"v" * 1000
        snapshot.close()
        db[b"0000"] = b"nudge"
        db.compact()
        assert db.stats().bytes < with_both * 0.7
        assert db[b"0123"] == b"w" * 1000


def test_a_snapshot_is_not_seen_by_a_later_open(path):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
        snapshot = db.snapshot()
        db[b"a"] = b"2"
    with pytest.raises(lsm.ClosedError):
        snapshot.get(b"a")
    with lsm.open(path) as db:
        assert db[b"a"] == b"2"
        with pytest.raises(lsm.ClosedError):
            snapshot.get(b"a")
