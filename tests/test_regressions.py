"""Every bug found in the engine, as small as it gets, by the name of what went wrong."""
import errno

import pytest

from crash_engine import open_files, open_on
from lsm import _core
from lsm.errors import ReadOnlyError, StorageError


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
