"""Work on the tree that fails: lack of room passes, anything else ends the writing; a wrong policy harms nothing."""
import errno

import hashlog_engine
import pytest
from crash_engine import open_files, open_on
from test_shaker import until

from lsm import _core
from lsm.errors import PolicyError, ReadOnlyError, StorageError
from lsm import background
from lsm.tree.compaction import NOTHING, Merge


def test_lack_of_room_is_told_tried_again_and_forgotten(monkeypatch):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.005)
    directory = _core.SimulatedDirectory()
    db = open_on(directory, {}, background=True)
    db.put(b"k", b"v")
    directory.fail(errno.ENOSPC, kind="create", part=".table", sticky=True)
    for _ in range(2):
        with pytest.raises(StorageError) as raised:
            db.flush()
        assert raised.value.errno == errno.ENOSPC
    assert isinstance(db._shaker.error, StorageError) and db._failure is None
    db.put(b"l", b"still taken")
    directory.heal()
    until(lambda: not db._tree.sealed)
    until(lambda: db._shaker.error is None)
    db.flush()
    assert dict(db.items()) == {b"k": b"v", b"l": b"still taken"} and db.stats().memtables == 1
    db.close()
    assert not [name for name in directory.files() if name.endswith(".log")]


def with_something_to_merge(engine):
    """(directory, database, its worker, how many files it has): compact() has something to do, and nothing else."""
    directory = _core.SimulatedDirectory()
    if engine == "lsm":
        db = open_on(directory, {}, background=True)
        worker, files = db._shaker, lambda: db._tree.version.table_count()
    else:
        db = hashlog_engine.open_on(directory, {}, background=True)
        worker, files = db._merger, lambda: len(db._data.state.files)
    db.write_many((b"%03d" % row, b"old") for row in range(100))
    db.flush()
    db.write_many((b"%03d" % row, b"new") for row in range(0, 100, 4))
    db.flush()
    assert files() == 2
    return directory, db, worker, files


@pytest.mark.parametrize("engine, part", [("lsm", ".table"), ("hashlog", ".data")])
def test_a_compact_that_found_no_room_is_not_tried_again_by_itself(monkeypatch, engine, part):
    """It was, every second for as long as the database was open, and filled the disk under the writers each time."""
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.005)
    directory, db, worker, files = with_something_to_merge(engine)
    directory.fail(errno.ENOSPC, kind="create", part=part, sticky=True)
    for _ in range(2):
        with pytest.raises(StorageError) as raised:
            db.compact()
        assert raised.value.errno == errno.ENOSPC and not worker.wanted
    until(lambda: worker.error is None)             # what it did since went well: it was not that merge
    directory.heal()
    db.compact()
    assert files() == 1
    assert dict(db.items()) == {b"%03d" % row: b"old" if row % 4 else b"new" for row in range(100)}
    db.close()


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("engine, part", [("lsm", ".table"), ("hashlog", ".data")])
def test_ctrl_c_ends_the_waiting_for_a_compact_and_not_its_merge(monkeypatch, engine, part, room):
    """It goes on, and is tried once: when it fails nobody is there to be told, and it is dropped all the same."""
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.005)
    directory, db, worker, files = with_something_to_merge(engine)
    if not room:
        directory.fail(errno.ENOSPC, kind="create", part=part, sticky=True)

    def interrupted(done):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worker, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.compact()
    worker.tell()
    until(lambda: not worker.wanted)
    until(lambda: worker.error is None)
    assert files() == (1 if room else 2)
    directory.heal()
    db.close()


@pytest.mark.parametrize("kind", ["append", "sync"])
def test_any_other_error_makes_the_store_read_only_with_the_cause(kind):
    directory = _core.SimulatedDirectory()
    db = open_on(directory, {}, background=True)
    db.put(b"k", b"v", sync=True)
    directory.fail(errno.EIO, kind=kind, part=".table")
    with pytest.raises((StorageError, ReadOnlyError)):
        db.flush()
    db._shaker.thread.join(60)
    assert not db._shaker.thread.is_alive(), "there is nothing left to do for it"
    for write in (lambda: db.put(b"l", b"w"), lambda: db.delete(b"k"), db.flush, db.compact):
        with pytest.raises(ReadOnlyError) as refused:
            write()
        assert refused.value.__cause__.errno == errno.EIO
    assert db[b"k"] == b"v" and list(db) == [b"k"]
    db.close()
    assert dict(open_files(directory.files(), {}).items()) == {b"k": b"v"}


@pytest.mark.parametrize("background", [False, True])
def test_a_policy_that_raises_makes_the_store_read_only_and_harms_nothing(background):
    class Broken:
        def choose(self, version, options):
            if version.table_count():
                raise RuntimeError("no idea")
            return NOTHING

    directory = _core.SimulatedDirectory()
    db = open_on(directory, {"compaction": Broken()}, background=background)
    db.put(b"k", b"v")
    try:
        db.flush()
    except (RuntimeError, ReadOnlyError):
        pass
    until(lambda: db._failure is not None)
    with pytest.raises(ReadOnlyError, match="no idea") as refused:
        db.put(b"l", b"w")
    assert isinstance(refused.value.__cause__, RuntimeError)
    assert dict(db.items()) == {b"k": b"v"}
    db.close()
    assert dict(open_files(directory.files(), {"compaction": "leveled"}).items()) == {b"k": b"v"}


@pytest.mark.parametrize("choice", [
    Merge((99,), 1), Merge((), 1), Merge((1, 2), 17), "merge all of it", None], ids=str)
def test_a_policy_that_chooses_badly_is_refused_and_harms_nothing(choice):
    class Bad:
        def choose(self, version, options):
            return choice if version.table_count() else NOTHING

    directory = _core.SimulatedDirectory()
    db = open_on(directory, {"compaction": Bad()})
    db.put(b"k", b"v")
    with pytest.raises(PolicyError):
        db.flush()
    assert isinstance(db._failure, PolicyError) and dict(db.items()) == {b"k": b"v"}
    assert db._tree.version.table_count() == 1 and db.verify()
    db.close()
    assert dict(open_files(directory.files(), {"compaction": "leveled"}).items()) == {b"k": b"v"}
