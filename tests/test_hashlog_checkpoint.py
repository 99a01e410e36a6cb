"""hashlog: a checkpoint holds one moment of the database, whatever is written and merged while it is made."""
import threading

import lsm
import pytest
from lsm.engines.hashlog import database
from lsm.engines.hashlog.database import HashLog

KEYS = [b"key%04d" % number for number in range(400)]
SMALL = {"file_bytes": 8192, "merge_dead_ratio": 0.3}


def fill(db, value, keys=KEYS):
    for key in keys:
        db.put(key, value * 100)


def test_what_is_overwritten_between_flush_and_links_is_in_a_checkpoint(tmp_path, monkeypatch):
    with HashLog(tmp_path / "db", _background=False, **SMALL) as db:
        fill(db, b"1")
        link, made = database.link_into, []

        def overwritten_first(target, files):
            merges = db.stats().merges
            fill(db, b"2", KEYS[:330])
            db._merger.shake()
            made.append(db.stats().merges - merges)
            link(target, files)

        monkeypatch.setattr(database, "link_into", overwritten_first)
        db.checkpoint(tmp_path / "copy")
        assert made == [0]
        merges = db.stats().merges
        db._merger.shake()
        assert db.stats().merges > merges, "merges go on afterwards"
        assert len(db) == len(KEYS)
    with lsm.open(tmp_path / "copy", engine="hashlog") as copy:
        assert list(copy.keys()) == KEYS
        assert copy.verify()


def test_checkpoints_beside_a_writer_have_all_keys(tmp_path):
    with lsm.open(tmp_path / "db", engine="hashlog", **SMALL) as db:
        fill(db, b"1")
        done = threading.Event()

        def write():
            while not done.is_set():
                fill(db, b"2")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(15):
                db.checkpoint(tmp_path / f"copy{number}")
        finally:
            done.set()
            writer.join()
        db.compact()                # holds are over
    for number in range(15):
        with lsm.open(tmp_path / f"copy{number}", engine="hashlog") as copy:
            assert list(copy.keys()) == KEYS, number


def test_a_checkpoint_that_is_refused_lets_merges_go_on(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_bytes(b"")
    with lsm.open(tmp_path / "db", engine="hashlog", **SMALL) as db:
        fill(db, b"1")
        with pytest.raises(lsm.NotADatabaseError):
            db.checkpoint(tmp_path / "taken")
        assert not db._merger.holds
        fill(db, b"2")
        db.compact()
        assert db.stats().merges
    with pytest.raises(lsm.ClosedError):
        db.checkpoint(tmp_path / "late")
    with lsm.open(tmp_path / "db", engine="hashlog", read_only=True) as db, pytest.raises(lsm.ReadOnlyError):
        db.checkpoint(tmp_path / "late")
