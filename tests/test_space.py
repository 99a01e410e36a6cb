"""Space: what is deleted or overwritten is given back, reading costs none, and an idle database is small."""

import os

import lsm
import pytest
from model import TINY


def directory_bytes(path):
    """What the files take on disk (preallocated room counted)."""
    return sum(file.stat().st_blocks * 512 for file in path.iterdir())


def fill(db, count=20_000):
    db.write_many((b"%08d" % number, os.urandom(50)) for number in range(count))


@pytest.mark.parametrize("compaction", ["leveled", "tiered"])
def test_deleting_everything_and_compacting_leaves_kilobytes(path, compaction):
    with lsm.open(path, **{**TINY, "compaction": compaction}) as db:
        fill(db)
        db.compact()
        assert directory_bytes(path) > 1 << 20
        for key in list(db):
            db.delete(key)
        db.compact()
        assert db.stats().tables == 0 and db.stats().bytes == 0
    assert directory_bytes(path) < 64 << 10


def test_overwriting_many_times_and_compacting_leaves_one_copy(path):
    with lsm.open(path, **TINY, compression="none") as db:
        for _ in range(5):
            fill(db, 5000)
        db.compact()
        data = 5000 * 58
        assert data < db.stats().bytes < data * 1.4
        assert directory_bytes(path) < data * 1.6 + (256 << 10)


def test_a_closed_database_of_one_key_is_small(path):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
    assert directory_bytes(path) < 64 << 10


def test_opening_and_closing_over_and_over_does_not_grow_the_directory(path):
    with lsm.open(path) as db:
        fill(db, 1000)
    sizes = []
    for number in range(20):
        with lsm.open(path) as db:
            db[b"%d" % (number % 2)] = b"v"
        sizes.append((len(os.listdir(path)), directory_bytes(path)))
    files, size = sizes[-1]
    assert files <= 25 and size < 1 << 20, sizes


def test_short_lives_of_one_new_key_each_do_not_leave_a_table_each(path):
    """Keys that only grow never overlap, so nothing need be merged for order's sake: small tables must be all the same."""
    for number in range(150):
        with lsm.open(path) as db:
            db[b"%06d" % number] = b"v"
    with lsm.open(path) as db:
        assert len(db) == 150
        assert db.stats().tables <= 40


def test_reading_does_not_grow_the_directory(path):
    with lsm.open(path, **TINY) as db:
        fill(db, 5000)
        db.compact()
        before = directory_bytes(path)
        for _ in range(3):
            assert sum(1 for _ in db.scan()) == 5000
            for number in range(0, 5000, 10):
                db.get(b"%08d" % number)
        assert directory_bytes(path) <= before


def test_files_go_when_the_last_reader_of_them_lets_go(path):
    with lsm.open(path, **TINY) as db:
        fill(db, 3000)
        db.flush()
        snapshot, rows, cursor = db.snapshot(), db.scan(), db.cursor()
        next(rows), cursor.first()
        db.clear()
        db.compact()
        assert len(snapshot) == 3000  # its tables are still there
        snapshot.close()
        cursor.close()
        del rows
        db.compact()
        assert db.stats().tables == 0
        assert [name for name in os.listdir(path) if name.endswith(".table")] == []
