"""verify(): reads and checks every byte, reports every damaged file and where, changes nothing."""

import lsm
import pytest
from damage import flipped
from test_open import listing

OPTIONS = {"block_bytes": 512, "table_bytes": 8 << 10, "compression": "none"}


@pytest.fixture
def closed(path):
    """Several tables, closed."""
    with lsm.open(path, **OPTIONS) as db:
        db.write_many((b"%05d" % number, b"%d" % number * 20) for number in range(1500))
        db.compact()
        db.write_many((b"%05d" % number, b"new") for number in range(0, 1500, 3))
        db.flush()
    return path


def tables(path):
    return sorted(path.glob("*.table"))


def test_a_sound_database_is_reported_sound_with_what_was_read(closed):
    with lsm.open(closed, read_only=True) as db:
        report = db.verify()
        assert report.ok and bool(report) and report.damage == ()
        assert report.files >= len(tables(closed)) > 1
        assert report.blocks > report.files
        assert report.bytes >= sum(table.stat().st_size for table in tables(closed))
        assert str(report)


def test_an_empty_database_is_sound(db):
    assert db.verify()
    assert db.verify().damage == ()


def test_every_damaged_block_of_every_table_is_listed_in_one_report(closed):
    middle = {}
    for table in tables(closed):
        data = table.read_bytes()
        middle[str(table)] = len(data) // 3
        table.write_bytes(flipped(data, len(data) // 3, 3))
    with lsm.open(closed, block_cache_bytes=0) as db:
        report = db.verify()
        assert not report and not report.ok
        assert {error.path for error in report.damage} == set(middle)
        for error in report.damage:
            assert isinstance(error, lsm.CorruptionError)
            assert 0 <= middle[error.path] - error.offset < 2048, "the offset is not near the damage"
            assert error.path in str(error) and str(error.offset) in str(error)


def test_two_damaged_blocks_of_one_table_are_both_listed(closed):
    table = max(tables(closed), key=lambda table: table.stat().st_size)
    data = table.read_bytes()
    places = [100, len(data) // 2]
    for place in places:
        data = flipped(data, place, 5)
    table.write_bytes(data)
    with lsm.open(closed, block_cache_bytes=0) as db:
        assert len({error.offset for error in db.verify().damage}) == 2


def test_a_cached_block_does_not_hide_damage_on_disk(closed):
    with lsm.open(closed) as db:
        assert len(list(db.scan())) == 1500
        table = tables(closed)[0]
        with open(table, "r+b") as file:
            file.seek(200)
            byte = file.read(1)
            file.seek(200)
            file.write(bytes((byte[0] ^ 1,)))
        assert [error.path for error in db.verify().damage] == [str(table)]
        with open(table, "r+b") as file:
            file.seek(200)
            file.write(byte)
        assert db.verify()


def test_verify_changes_nothing_on_disk_and_nothing_of_use(closed):
    before = listing(closed)
    with lsm.open(closed, read_only=True) as db:
        db.verify()
    assert listing(closed) == before
    with lsm.open(closed) as db:
        db[b"a"] = b"1"
        db.verify()
        assert db[b"a"] == b"1"


def test_verify_covers_what_lies_in_the_log(path):
    with lsm.open(path) as db:
        db.put(b"a", b"in the log", sync=True)
        first = db.verify()
        assert first.ok and first.bytes > 0


def test_the_report_of_many_damages_is_in_the_order_of_file_and_offset(closed):
    for table in tables(closed):
        data = table.read_bytes()
        for place in range(50, len(data) * 2 // 3, 1500):
            data = flipped(data, place, 1)
        table.write_bytes(data)
    with lsm.open(closed) as db:
        damage = db.verify().damage
        offsets = [(error.path, error.offset) for error in damage]
        assert len(offsets) > len(tables(closed))
        for path in {path for path, _ in offsets}:
            own = [offset for found, offset in offsets if found == path]
            assert own == sorted(own)
