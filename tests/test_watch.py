"""Watch: what a tree's files tell is what the process that writes them knows."""
import os

import pytest

import lsm
from lsm.tree.watch import NEAR_BYTES, Watch, change


@pytest.fixture(params=["lsm", "pylsm"])
def engine(request):
    if request.param == "lsm":
        pytest.importorskip("lsm._core", reason="the compiled core was not built")
    return request.param


def test_each_look_knows_the_last_write(tmp_path, engine):
    with lsm.open(tmp_path / "db", engine=engine) as db:
        watch = Watch(tmp_path / "db")
        assert (watch.look().sequence, watch.look().synced) == (0, 0)
        for number in range(200):
            db.put(b"%03d" % number, b"v" * number)
            if number % 20 == 0:
                assert watch.look().sequence == Watch(tmp_path / "db").look().sequence == number + 1
        db.write_many((b"%03d" % number, b"") for number in range(50))
        db.sync()
        db.put(b"a", b"1")
        look = watch.look()
        assert (look.sequence, look.synced) == (251, 250)
        assert len(look.logs) == 1 and look.logs[0].writes == look.logs[0].sequence == 251 and look.logs[0].written > 0
        db.flush()
        look = watch.look()
        assert (look.sequence, look.synced) == (251, 251)
    look = watch.look()
    assert (look.sequence, look.logs, look.unnamed) == (251, (), ())


def test_the_end_of_a_long_log_is_found_without_reading_it_all(tmp_path, engine):
    """Records longer than what is looked through at first, and short ones behind them."""
    with lsm.open(tmp_path / "db", engine=engine, memtable_bytes=64 << 20) as db:
        watch = Watch(tmp_path / "db")
        db.put(b"a", b"1")
        for size in (NEAR_BYTES // 2, 2 * NEAR_BYTES, 0, NEAR_BYTES):
            db.put(b"long", os.urandom(1000) + bytes(size))
            assert watch.look().sequence == Watch(tmp_path / "db").look().sequence
            db.put(b"short", b"")
        look, fresh = watch.look(), Watch(tmp_path / "db").look()
        assert look.sequence == fresh.sequence == 9
        assert look.logs == fresh.logs and look.logs[0].writes == 9 and look.logs[0].bytes > 3 * NEAR_BYTES


def test_bytes_that_are_no_record_are_not_counted(tmp_path, engine):
    with lsm.open(tmp_path / "db", engine=engine) as db:
        db.put(b"a", b"1")
        db.put(b"b", b"2")
        log, = (tmp_path / "db").glob("*.log")
        data = log.read_bytes()
        seen = Watch(tmp_path / "db").look().logs[0]
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in (tmp_path / "db").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        (copy / log.name).write_bytes(data[:seen.bytes - 8] + b"\xff" * 8 + data[seen.bytes:])
        assert Watch(copy).look().sequence == 1                     # the second is only half there
        (copy / log.name).write_bytes(data[:seen.bytes] + b"\xff" * 100)
        assert Watch(copy).look().sequence == 2


def test_flushes_and_compactions_are_seen(tmp_path, engine):
    with lsm.open(tmp_path / "db", engine=engine, compaction="tiered") as db:
        watch = Watch(tmp_path / "db")
        first = watch.look()
        db.put(b"a", b"1")
        db.flush()
        second = watch.look()
        seen = change(first, second)
        assert [meta.entries for meta in seen.flushed] == [1] and not (seen.merged or seen.gone or seen.moved)
        db.put(b"b", b"2")
        db.flush()
        third = watch.look()
        db.compact()
        seen = change(third, watch.look())
        assert len(seen.merged) == 1 and len(seen.gone) == 2 and not seen.flushed
        assert change(third, third).flushed == ()


def test_a_table_that_nobody_names_is_being_written(tmp_path, engine):
    with lsm.open(tmp_path / "db", engine=engine) as db:
        db.put(b"a", b"1")
        watch = Watch(tmp_path / "db")
        assert watch.look().unnamed == ()
        (tmp_path / "db" / "000099.table").write_bytes(b"12345")
        assert watch.look().unnamed == ((99, 5),)


def test_where_there_is_no_database(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("empty", "file", "nothing"):
        with pytest.raises(lsm.NotADatabaseError):
            Watch(tmp_path / name).look()


def test_a_damaged_manifest_is_said(tmp_path):
    lsm.open(tmp_path / "db").close()
    (tmp_path / "db" / "CURRENT").write_bytes(b"nonsense\n")
    with pytest.raises(lsm.CorruptionError):
        Watch(tmp_path / "db").look()
