"""A read-only open takes no lock, writes nothing, refuses every write, and sees what the log holds."""

import lsm
import pytest
from child import Child
from model import TINY, contents
from test_open import listing

MODEL = {b"%04d" % number: b"v%d" % number for number in range(1000)}


@pytest.fixture
def filled(path):
    with lsm.open(path, memtable_bytes=16 << 10) as db:
        db.write_many(list(MODEL.items())[:800])
        db.flush()
        db.write_many(list(MODEL.items())[800:])
    return path


def test_every_way_of_reading_works_and_nothing_on_disk_changes(filled):
    before = listing(filled)
    names = sorted(file.name for file in filled.iterdir())
    with lsm.open(filled, read_only=True) as db:
        assert db.read_only
        assert contents(db) == MODEL and len(db) == 1000 and db
        assert db[b"0007"] == b"v7" and b"0007" in db and db.get(b"none") is None
        assert db.multi_get([b"0001", b"none"]) == [b"v1", None]
        with db.snapshot() as snapshot, db.cursor() as cursor:
            assert contents(snapshot) == MODEL
            assert cursor.last() and cursor.key == b"0999"
        assert db.verify()
        assert str(db.stats())
    assert listing(filled) == before and sorted(file.name for file in filled.iterdir()) == names


WRITES = {
    "put": lambda db: db.put(b"a", b"1"), "delete": lambda db: db.delete(b"0001"),
    "setitem": lambda db: db.__setitem__(b"a", b"1"), "delitem": lambda db: db.__delitem__(b"0001"),
    "write_many": lambda db: db.write_many([(b"a", b"1")]), "update": lambda db: db.update({b"a": b"1"}),
    "pop": lambda db: db.pop(b"0001"), "popitem": lambda db: db.popitem(), "clear": lambda db: db.clear(),
    "setdefault": lambda db: db.setdefault(b"a", b"1"), "flush": lambda db: db.flush(), "compact": lambda db: db.compact(),
}


@pytest.mark.parametrize("name", WRITES)
def test_every_write_is_refused(filled, name):
    before = listing(filled)
    with lsm.open(filled, read_only=True) as db:
        with pytest.raises(lsm.ReadOnlyError, match="read_only") as raised:
            WRITES[name](db)
        assert isinstance(raised.value, PermissionError)
        assert contents(db) == MODEL
    assert listing(filled) == before


def test_a_batch_is_refused_at_the_latest_when_it_is_written(filled):
    with lsm.open(filled, read_only=True) as db:
        with pytest.raises(lsm.ReadOnlyError), db.write_batch() as batch:
            batch.put(b"a", b"1")
        assert contents(db) == MODEL


def test_it_opens_beside_a_writer_and_does_not_hinder_the_next(filled):
    with lsm.open(filled, read_only=True) as one, lsm.open(filled, read_only=True) as two:
        with lsm.open(filled) as writer:
            writer[b"new"] = b"1"
            with lsm.open(filled, read_only=True) as three:
                assert three[b"0001"] == b"v1" and three.get(b"new") == b"1"
            assert contents(one) == contents(two) == MODEL


def test_it_sees_what_the_log_of_a_living_writer_holds(path):
    with Child("""
db = lsm.open(sys.argv[1])
for number in range(1000): db[b"%04d" % number] = b"v%d" % number
print("written", flush=True)
sys.stdin.readline()
""", path) as writer:
        assert writer.hear() == "written"
        with lsm.open(path, read_only=True) as db:
            assert contents(db) == MODEL
        writer.kill()
    before = listing(path)
    with lsm.open(path, read_only=True) as db:
        assert contents(db) == MODEL
    assert listing(path) == before


def test_it_stands_while_a_writer_flushes_and_compacts_under_it(path):
    """The tables it reads may be unlinked by the writer: open files stay, and what cannot be read is an error."""
    with lsm.open(path, **TINY) as writer:
        writer.write_many(MODEL)
        writer.flush()
        with lsm.open(path, read_only=True) as reader:
            assert contents(reader) == MODEL
            writer.clear()
            writer.flush()
            writer.compact()
            assert contents(reader) == MODEL


def test_opening_over_and_over_beside_a_busy_writer_is_always_some_moment(path):
    with Child("""
import time
db = lsm.open(sys.argv[1], memtable_bytes=16384, table_bytes=16384)
print("open", flush=True)
number = 0
while True:
    number += 1
    with db.write_batch() as batch:
        for key in range(40): batch.put(b"%04d" % key, b"%08d" % number * 10)
    time.sleep(0.0005)
""", path) as writer:
        assert writer.hear() == "open"
        latest = b""
        for _ in range(60):
            with lsm.open(path, read_only=True) as db:
                values = set(db.values())
                assert len(values) <= 1, "a batch was seen in part"
                assert len(db) in (0, 40)
                moment = values.pop() if values else b""
                assert moment >= latest, "time went backwards"
                latest = moment
