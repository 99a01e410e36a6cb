"""Checkpoints: a copy by hard links that opens at once, holds that moment, and owes nothing to its origin."""

import os
import pathlib
import shutil
import tempfile
import threading

import lsm
import pytest
from child import run
from model import TINY, contents

MODEL = {b"%04d" % number: b"v%d" % number for number in range(1500)}


@pytest.fixture
def filled(path):
    with lsm.open(path, **TINY) as db:
        db.write_many(list(MODEL.items())[:1200])
        db.flush()
        db.write_many(list(MODEL.items())[1200:])
        yield db


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path], ids=["str", "bytes", "Path"])
def test_a_checkpoint_opens_at_once_with_everything_written_before_it(filled, tmp_path, kind):
    filled.checkpoint(kind(tmp_path / "copy"))
    with lsm.open(tmp_path / "copy", create=False) as copy:
        assert contents(copy) == MODEL and copy.verify()
        assert copy.options == filled.options
    assert contents(filled) == MODEL


def test_neither_side_sees_what_the_other_writes_later(filled, tmp_path):
    filled.checkpoint(tmp_path / "copy")
    with lsm.open(tmp_path / "copy") as copy:
        copy.clear()
        copy[b"copy"] = b"1"
        copy.compact()
        assert contents(filled) == MODEL
        filled.update({key: b"changed" for key in MODEL})
        filled.flush()
        filled.compact()
        assert contents(copy) == {b"copy": b"1"}
    assert set(contents(filled).values()) == {b"changed"}
    assert filled.verify()


def test_it_survives_its_origin(path, tmp_path):
    with lsm.open(path, **TINY) as db:
        db.write_many(MODEL)
        db.checkpoint(tmp_path / "copy")
    shutil.rmtree(path)
    with lsm.open(tmp_path / "copy") as copy:
        assert contents(copy) == MODEL
        copy.checkpoint(tmp_path / "copy of a copy")
    with lsm.open(tmp_path / "copy of a copy") as copy:
        assert contents(copy) == MODEL


def test_tables_are_linked_not_copied(filled, tmp_path):
    filled.flush()
    filled.compact()
    filled.checkpoint(tmp_path / "copy")
    tables = list((tmp_path / "copy").glob("*.table"))
    assert tables
    for table in tables:
        assert table.stat().st_ino == (pathlib.Path(filled.path) / table.name).stat().st_ino


def test_a_checkpoint_on_another_file_system_is_copied(filled):
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(filled.path).st_dev:
        pytest.skip("no second file system at /dev/shm")
    directory = tempfile.mkdtemp(dir="/dev/shm")
    try:
        try:
            filled.checkpoint(os.path.join(directory, "copy"))
        except lsm.StorageError as error:
            assert "copy" in str(error)  # said, and nothing half made left behind
            assert not os.path.exists(os.path.join(directory, "copy", "CURRENT"))
        else:
            with lsm.open(os.path.join(directory, "copy")) as copy:
                assert contents(copy) == MODEL
    finally:
        shutil.rmtree(directory)


def test_an_empty_database_has_a_checkpoint_too(db, tmp_path):
    db.checkpoint(tmp_path / "copy")
    with lsm.open(tmp_path / "copy", create=False) as copy:
        assert not copy
        copy[b"a"] = b"1"


def test_a_target_that_is_not_free_is_refused_and_untouched(filled, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_bytes(b"precious")
    (tmp_path / "file").write_bytes(b"precious")
    lsm.open(tmp_path / "other").close()
    for target in ("full", "file", "other", "db", "file/below"):
        with pytest.raises(lsm.Error) as raised:
            filled.checkpoint(tmp_path / target)
        assert target in str(raised.value)
    assert os.listdir(tmp_path / "full") == ["notes.txt"]
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert contents(filled) == MODEL
    with lsm.open(tmp_path / "other") as other:
        assert not other
    with pytest.raises(TypeError):
        filled.checkpoint(None)


def test_a_snapshot_does_not_change_what_a_checkpoint_holds(filled, tmp_path):
    with filled.snapshot() as before:
        filled[b"later"] = b"1"
        filled.checkpoint(tmp_path / "copy")
        assert b"later" not in before
    with lsm.open(tmp_path / "copy") as copy:
        assert copy[b"later"] == b"1" and len(copy) == len(MODEL) + 1


def test_a_checkpoint_taken_under_load_is_a_moment_of_the_write_order(path, tmp_path):
    ended = threading.Event()
    errors = []

    def write(db):
        number = 0
        try:
            while not ended.is_set():
                number += 1
                with db.write_batch() as batch:
                    batch.put(b"low", b"%08d" % number)
                    batch.put(b"row:%03d" % (number % 300), b"%08d" % number * 9)
                    batch.put(b"up", b"%08d" % number)
        except BaseException as error:
            errors.append(error)

    with lsm.open(path, **TINY) as db:
        writer = threading.Thread(target=write, args=(db,))
        writer.start()
        try:
            for count in range(8):
                before = db.get(b"up", b"0")
                db.checkpoint(tmp_path / f"copy {count}")
                after = db.get(b"up", b"0")
                with lsm.open(tmp_path / f"copy {count}") as copy:
                    found = dict(copy.scan())
                    moment = found.pop(b"up", b"0")
                    assert found.pop(b"low", b"0") == moment and before <= moment <= after
                    last = int(moment)
                    expected = {b"row:%03d" % (number % 300): b"%08d" % number * 9
                                for number in range(max(1, last - 299), last + 1)}
                    assert found == expected
        finally:
            ended.set()
            writer.join(60)
        assert not errors and not writer.is_alive()


def test_a_checkpoint_needs_nothing_of_a_killed_origin(path, tmp_path):
    run("""
db = lsm.open(sys.argv[1])
for number in range(1000): db[b"%04d" % number] = b"v%d" % number
db.checkpoint(sys.argv[2])
os._exit(0)
""", path, tmp_path / "copy")
    with lsm.open(tmp_path / "copy") as copy:
        assert len(copy) == 1000 and copy[b"0999"] == b"v999"
