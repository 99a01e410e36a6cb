"""hashlog: opening on a full disk, opening that was interrupted, and changes of files for which there is no memory."""
import errno
import os
import shutil

import pytest
from lsm.engines.hashlog import manifest, merger, recovery
from lsm.engines.hashlog.database import HashLog
from lsm.errors import ReadOnlyError, StorageError

SMALL = {"file_bytes": 4096}


def no_room(monkeypatch, error=errno.ENOSPC):
    def refused(directory, state):
        raise StorageError(error, os.strerror(error), directory.path)
    monkeypatch.setattr(manifest, "prepare", refused)


def left_by_a_merge(path):
    with HashLog(path) as db:
        db.put(b"a", b"1")
    (path / "000099.data").write_bytes(b"unfinished")


def test_a_full_disk_does_not_keep_what_a_merge_left_from_being_opened(tmp_path, monkeypatch):
    left_by_a_merge(tmp_path)
    with monkeypatch.context() as patch:
        no_room(patch)
        with HashLog(tmp_path) as db:
            assert db[b"a"] == b"1"
        assert (tmp_path / "000099.data").exists(), "nothing is removed before HASHLOG is durable"
    with HashLog(tmp_path) as db:
        assert db[b"a"] == b"1"
    assert not (tmp_path / "000099.data").exists()


def test_another_error_there_is_raised(tmp_path, monkeypatch):
    left_by_a_merge(tmp_path)
    no_room(monkeypatch, errno.EIO)
    with pytest.raises(StorageError):
        HashLog(tmp_path)


def test_a_full_disk_does_not_keep_a_file_without_records_from_being_opened(tmp_path, monkeypatch):
    with HashLog(tmp_path / "db", _background=False, **SMALL) as db:
        db.put(b"a", b"1")
        db._data.switch(0)
        shutil.copytree(tmp_path / "db", tmp_path / "copy", ignore=shutil.ignore_patterns("LOCK"))
    with monkeypatch.context() as patch:
        no_room(patch)
        with HashLog(tmp_path / "copy") as db:
            assert db[b"a"] == b"1"
    for _ in range(2):
        with HashLog(tmp_path / "copy") as db:
            assert dict(db.items()) == {b"a": b"1"}


def test_a_full_disk_does_not_keep_who_gives_other_options_from_opening(tmp_path, monkeypatch, caplog):
    """They count from then on, and are stored with the next HASHLOG."""
    with HashLog(tmp_path) as db:
        db.put(b"a", b"1")
    with monkeypatch.context() as patch:
        no_room(patch)
        with HashLog(tmp_path, file_bytes=8192) as db:
            assert db[b"a"] == b"1" and db.options.file_bytes == 8192 and db.verify().ok
            with pytest.raises(StorageError):
                db.put(b"b", b"2")              # its file has to be named
        assert "no room" in caplog.text
    with HashLog(tmp_path) as db:
        assert db.options.file_bytes != 8192
    with HashLog(tmp_path, file_bytes=8192) as db:
        db.put(b"b", b"2")
    with HashLog(tmp_path) as db:
        assert db.options.file_bytes == 8192 and dict(db.items()) == {b"a": b"1", b"b": b"2"}


def torn_in_the_first_of_two(path, copy):
    with HashLog(path, _background=False, **SMALL) as db:
        db._merger.shake = lambda: None
        for number in range(6):
            db.put(b"%d" % number, b"v" * 1000)
        numbers = db._data.state.open
        assert len(numbers) == 2
        shutil.copytree(path, copy, ignore=shutil.ignore_patterns("LOCK"))
        del db._merger.shake
    os.truncate(copy / f"{numbers[0]:06d}.data", 2500)


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_a_full_disk_does_not_keep_a_torn_file_from_being_opened(tmp_path, monkeypatch, written, killed):
    """What lies behind the tear is dropped with the first HASHLOG there is room for, which comes before the first new record."""
    copy = tmp_path / "copy"
    torn_in_the_first_of_two(tmp_path / "db", copy)

    def full(files, inputs, *rest):
        raise StorageError(errno.ENOSPC, "No space left on device", files.directory.path)

    expected = {b"0": b"v" * 1000, b"1": b"v" * 1000}
    with monkeypatch.context() as patch:
        patch.setattr(recovery, "carry_out", full)
        patch.setattr(merger, "carry_out", full)
        with monkeypatch.context() as more:
            no_room(more)
            db = HashLog(copy, **SMALL)
            assert dict(db.items()) == expected
        if written:
            db.put(b"new", b"n")                # there is room for HASHLOG now, not for the copy
            expected[b"new"] = b"n"
        if killed:
            shutil.copytree(copy, tmp_path / "left", ignore=shutil.ignore_patterns("LOCK"))
        db.close()
    for _ in range(2):
        with HashLog(tmp_path / "left" if killed else copy) as db:
            assert dict(db.items()) == expected and db.verify().ok


def test_opening_interrupted_after_what_lay_before_a_tear_was_copied(tmp_path, monkeypatch):
    """A power cut took the end of one file and not the next one: that is dropped for good before the first is copied."""
    torn_in_the_first_of_two(tmp_path / "db", tmp_path / "copy")
    genuine = recovery.carry_out

    def interrupted(*how):
        genuine(*how)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "carry_out", interrupted)
        with pytest.raises(RuntimeError):
            HashLog(tmp_path / "copy")
    with HashLog(tmp_path / "copy") as db:
        assert list(db) == [b"0", b"1"] and db.verify()


@pytest.mark.parametrize("first", [0, 3], ids=["empty", "written to"])
def test_no_memory_to_show_a_new_file(tmp_path, first):
    """Nothing has changed then, or nothing is written any more: no write is acknowledged that HASHLOG does not lead to."""
    expected = {}
    with HashLog(tmp_path, _background=False, **SMALL) as db:
        db._rotate()
        for number in range(first):
            expected[b"%d" % number] = b"v" * 1000
            db.put(b"%d" % number, b"v" * 1000)
        files = db._data

        def refused():
            raise MemoryError

        files.show = refused
        with pytest.raises(MemoryError):
            db.put(b"big", b"x" * 10000)
        del files.show
        for number in range(9):
            try:
                db.put(b"later%d" % number, b"w" * 500)
            except ReadOnlyError:
                assert first == 0
            else:
                expected[b"later%d" % number] = b"w" * 500
        assert dict(db.items()) == expected
    for _ in range(2):
        with HashLog(tmp_path) as db:
            assert dict(db.items()) == expected


def test_no_memory_to_show_what_a_merge_made(tmp_path):
    with HashLog(tmp_path, _background=False, **SMALL) as db:
        for number in range(40):
            db.put(b"%d" % (number % 10), b"%d" % number * 300)
        expected = dict(db.items())
        db.flush()
        files, genuine = db._data, db._data.replace_files

        def merged(*how):
            files.show = refused
            genuine(*how)

        def refused():
            raise MemoryError

        files.replace_files = merged
        db.put(b"0", b"last")
        expected[b"0"] = b"last"
        with pytest.raises(MemoryError):
            db.compact()
        del files.show, files.replace_files
        with pytest.raises(ReadOnlyError):
            db.put(b"a", b"1")
        assert dict(db.items()) == expected
    with HashLog(tmp_path) as db:
        assert dict(db.items()) == expected and db.verify()
