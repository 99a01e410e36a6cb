"""Work on the tree that fails: lack of room passes, anything else ends the writing; a wrong policy harms nothing."""
import errno

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
