"""hashlog: moments beside much work: what closed ones kept is poured on in steps, rows are gathered in steps, nobody holds the
index lock for as long as there are keys."""
import random
import threading

import lsm
import pytest
from lsm import _core
from lsm.engines.hashlog.database import HashLog

KEYS = 4000             # more than are poured, or gathered, under one hold of the lock


def filled(db, round_=0):
    model = {b"%05d" % number: b"%d of %d" % (round_, number) for number in range(KEYS)}
    db.update(model)
    return model


def check(snapshot, then, rng):
    keys = [b"%05d" % rng.randrange(KEYS + 100) for _ in range(50)]
    assert snapshot.multi_get(keys) == [then.get(key) for key in keys]


def test_a_hint_of_deletions_is_gone_through_in_steps_too(path):
    """Deletions were not counted: a hint full of them was gone through under one hold of the index lock."""
    with HashLog(path, _background=False) as db:
        filled(db)
        with db.write_batch() as batch:
            for number in range(KEYS):
                batch.delete(b"%05d" % number)
        data = db._data
        hint, records, *_ = _core.hint_of(data.image(data.active, data.active.size), data.active.number,
                                         data.state.database_id, str(path))
        assert records == 2 * KEYS
        assert db._relocate(hint, data.active) >= 2 * KEYS // 512


def test_what_a_closed_moment_kept_is_poured_on_in_steps(path):
    """It was all poured while the moment closed, under the index lock."""
    with HashLog(path, _background=False) as db:
        first = filled(db)
        older = db.snapshot()
        then = filled(db, 1)
        newer = db.snapshot()
        filled(db, 2)
        newer.close()
        assert then != first and _core.has_closed_moments(db)
        steps = 1
        while _core.pour_closed_moments(db, 1):
            assert dict(older.scan()) == first
            steps += 1
        assert steps > KEYS // 512 and not _core.has_closed_moments(db)
        assert dict(older.scan()) == first


@pytest.mark.parametrize("seed", range(3))
def test_moments_close_in_any_order_half_poured(path, seed):
    rng = random.Random(seed)
    with HashLog(path, _background=False) as db:
        model, held = filled(db), []
        for step in range(60):
            action = rng.choice(("write", "write", "write", "delete", "open", "open", "close", "pour"))
            if action == "write":
                some = {b"%05d" % rng.randrange(KEYS + 100): b"%d" % step for _ in range(rng.choice((1, 300, 3000)))}
                db.update(some)
                model.update(some)
            elif action == "delete":
                gone = {b"%05d" % rng.randrange(KEYS + 100) for _ in range(rng.choice((1, 2000)))}
                db.write((key, None) for key in gone)
                for key in gone:
                    model.pop(key, None)
            elif action == "open":
                held.append((db.snapshot(), dict(model)))
            elif action == "close" and held:
                held.pop(rng.randrange(len(held)))[0].close()
            elif action == "pour":
                _core.pour_closed_moments(db, rng.choice((1, 3, 0)))
            for snapshot, then in held:
                check(snapshot, then, rng)
            if held:
                snapshot, then = rng.choice(held)
                assert dict(snapshot.scan()) == then
        for snapshot, then in held:
            assert dict(snapshot.scan()) == then
            snapshot.close()
        assert _core.oldest_moment(db) == 0 and not _core.has_closed_moments(db)
        assert dict(db.items()) == model


def test_the_merger_pours_what_was_left(path):
    with lsm.open(path, engine="hashlog") as db:
        first = filled(db)
        with db.snapshot() as older:
            for round_ in range(1, 4):
                with db.snapshot():
                    filled(db, round_)
            db._merger.wait(lambda: not _core.has_closed_moments(db))
            assert dict(older.scan()) == first


@pytest.mark.parametrize("most", [1, 7, 1024, 1025, 2 * KEYS])
def test_the_first_rows_are_those_of_all(path, most):
    """Of few rows that are wanted only these are kept while all keys are gone through: in both directions, of any range, also where
    keys were written since."""
    rng = random.Random(most)
    with lsm.open(path, engine="hashlog") as db:
        then = filled(db)
        with db.snapshot() as before, db.snapshot() as again:
            some = {b"%05d" % rng.randrange(KEYS + 100): b"new" for _ in range(KEYS // 2)}
            db.update(some)
            db.write((b"%05d" % number, None) for number in range(0, KEYS, 3))
            assert list(before.scan(limit=most)) == sorted(then.items())[:most]
            assert list(again.scan(limit=most, reverse=True)) == sorted(then.items(), reverse=True)[:most]
        now = sorted(db.items())
        for reverse in (False, True):
            for start, stop in ((None, None), (b"00100", b"03000"), (b"03990", None), (b"2", b"1")):
                rows = [row for row in now if (start is None or row[0] >= start) and (stop is None or row[0] < stop)]
                if reverse:
                    rows.reverse()
                assert list(db.scan(start, stop, limit=most, reverse=reverse)) == rows[:most]


def test_popitem_takes_the_smallest(path):
    with lsm.open(path, engine="hashlog") as db:
        model = filled(db)
        for key in sorted(model)[:20]:
            assert db.popitem() == (key, model[key])
        assert len(db) == KEYS - 20


def test_scans_beside_writers_and_closing_moments_see_one_moment(path):
    """The lock is given away between two stretches of the index: what is written meanwhile is seen as it was before."""
    wrong, stop = [], threading.Event()
    with lsm.open(path, engine="hashlog", file_bytes=1 << 18) as db:
        db.write_many((b"%05d" % number, b"1") for number in range(0, 2 * KEYS, 2))

        def read(few):
            while not stop.is_set():
                with db.snapshot() as then:
                    first = [key for key, _ in then.scan(limit=few)]
                    rows = list(then.scan())
                    if len(rows) != KEYS or sum(int(value) for _, value in rows) != KEYS or [key for key, _ in rows[:few]] != first:
                        wrong.append((len(rows), first[:5]))

        threads = [threading.Thread(target=read, args=(few,)) for few in (3, 700)]
        for thread in threads:
            thread.start()
        rng = random.Random("beside")
        present, absent = list(range(0, 2 * KEYS, 2)), list(range(1, 2 * KEYS, 2))
        try:
            for _ in range(150):                # keys come and go in one step, and what the values say in all stays the same
                with db.snapshot():
                    moves = []
                    for _ in range(40):
                        here, there = rng.randrange(len(present)), rng.randrange(len(absent))
                        moves += [(b"%05d" % present[here], None), (b"%05d" % absent[there], b"1")]
                        present[here], absent[there] = absent[there], present[here]
                    db.write(moves)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not wrong, wrong[:3]


def test_a_scan_of_a_database_that_is_closed_meanwhile_ends_by_an_error(path):
    for _ in range(3):
        db = lsm.open(path, engine="hashlog")
        filled(db)
        begun, told = threading.Event(), []

        def scan(db=db, begun=begun, told=told):
            try:
                while True:
                    begun.set()
                    told.append(len(list(db.scan(values=False))))
            except lsm.ClosedError:
                pass

        thread = threading.Thread(target=scan)
        thread.start()
        begun.wait(60)
        db.close()
        thread.join(60)
        assert not thread.is_alive() and set(told) <= {KEYS}
