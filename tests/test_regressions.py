"""Every bug found in the engine, as small as it gets, by the name of what went wrong."""
import errno

import pytest

from crash_engine import open_files, open_on
from log_reference import entry, log, record, replayed
from lsm import _core
from lsm.errors import CorruptionError, ReadOnlyError, StorageError
from lsm.tree.compact import carry_out
from lsm.tree.compaction import merge_everything
from lsm.tree.flush import flush_oldest


def test_a_failed_switch_of_manifests_does_not_take_the_new_tables_along():
    """CURRENT was renamed, the sync of that failed, and the tables the new manifest names were removed as unused."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    db.put(b"k", b"v", sync=True)
    directory.fail(errno.EIO, kind="sync_directory", after=4)   # names of log, manifest, [switch]; of table, manifest
    with pytest.raises(StorageError):
        db.flush()
    assert db._failure is not None
    assert dict(open_files(directory.crashed_process()).items()) == {b"k": b"v"}
    assert dict(db.items()) == {b"k": b"v"}
    db.close()


@pytest.mark.parametrize("kind, part", [("sync", "MANIFEST"), ("sync_directory", ""), ("sync", ".log")])
def test_a_failed_sync_in_rotation_turns_the_store_read_only(kind, part):
    """The error was raised once, and the next write went on as if nothing had been."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    db.put(b"k", b"v")
    directory.fail(errno.EIO, kind=kind, part=part)
    with pytest.raises(StorageError) as caught:
        db.flush()
    with pytest.raises(ReadOnlyError) as refused:
        db.put(b"k", b"w")
    assert refused.value.__cause__ is caught.value
    assert db[b"k"] == b"v"
    db.close()


def test_a_record_without_entries_at_the_head_of_a_log_is_damage():
    """It was taken for the tear of a crash, and every write behind it was dropped in silence."""
    data = log(record(1, entry(b"a", b"1"), count=0), record(1, entry(b"a", b"1")))
    with pytest.raises(CorruptionError, match="in sequence"):
        replayed(data)


def test_a_merge_that_has_read_everything_is_not_given_up_at_close():
    """Short lives never got a compaction done: each was given up when it only had to be installed."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    for number in range(3):
        db.put(b"k", b"%d" % number)
        db._seal()
        flush_oldest(db._tree)
    db._shaker.stopping = True
    carry_out(db._tree, merge_everything(db._tree.version), db._shaker._pause)
    assert db.stats().tables == 1
    db.close()
