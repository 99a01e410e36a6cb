"""The tree of errors: descent, attributes, messages, pickling."""

from __future__ import annotations

import copy
import errno
import inspect
import os
import pickle

import pytest

from lsm import errors

SAMPLES: list[tuple[errors.Error, list[type[BaseException]], list[str]]] = [
    (errors.Error("x"), [Exception], ["x"]),
    (errors.ClosedError(), [ValueError], ["closed", "open"]),
    (errors.ClosedError("the cursor is closed"), [ValueError], ["cursor"]),
    (errors.ForkedError(), [errors.ClosedError, ValueError], ["fork", "spawn"]),
    (errors.LockedError("/data", 17), [BlockingIOError], ["/data", "17", "lock_timeout", "read_only"]),
    (errors.LockedError("/data"), [OSError], ["another process"]),
    (
        errors.CorruptionError("/data/000003.log", 512, "checksum"),
        [Exception],
        ["000003.log", "512", "checksum"],
    ),
    (errors.ReadOnlyError(), [PermissionError], ["read_only=True"]),
    (errors.StorageError(errno.ENOSPC, "No space left", "000003.log"), [OSError], ["No space", "000003.log"]),
    (
        errors.VersionError("format 9, this lsm reads up to 1", "MANIFEST-000001"),
        [Exception],
        ["format 9", "MANIFEST"],
    ),
    (errors.VersionError("format 9"), [Exception], ["format 9"]),
    (errors.UnsupportedError("zstd is not built in"), [Exception], ["zstd"]),
    (
        errors.NotADatabaseError("/etc/passwd", "this is a file"),
        [FileNotFoundError],
        ["/etc/passwd", "a file"],
    ),
    (
        errors.OptionError("block_bytes", 3, "64 to 1048576 bytes"),
        [ValueError],
        ["block_bytes=3", "1048576 bytes"],
    ),
    (errors.OptionNameError("blok_bytes", "block_bytes"), [TypeError], ["blok_bytes", "block_bytes"]),
    (errors.OptionNameError("q"), [TypeError], ["lsm.Options"]),
    (errors.OptionNameError("q", "r", "hashlog"), [TypeError], ["hashlog", "'q'", "'r'"]),
    (
        errors.NotOfferedError("checkpoint", "memory", "no files", ("lsm", "btree")),
        [NotImplementedError],
        ["checkpoint", "memory", "no files", "engine='lsm' or engine='btree'"],
    ),
    (errors.FormatError("dump.txt", "line 3", "no arrow"), [ValueError], ["dump.txt", "line 3", "no arrow"]),
    (errors.DifferenceError("/data", "/copy", "b'k' is missing"), [Exception], ["/data", "/copy", "b'k' is missing", "removed"]),
    (errors.PolicyError("Move(...)", "it overlaps"), [ValueError], ["Move(...)", "it overlaps"]),
    (errors.BusyError("two threads"), [Exception], ["two threads"]),
]


@pytest.mark.parametrize(("error", "bases", "words"), SAMPLES, ids=lambda x: type(x).__name__)
def test_each_error(error: errors.Error, bases: list[type[BaseException]], words: list[str]) -> None:
    assert isinstance(error, (errors.Error, *bases)) and all(isinstance(error, base) for base in bases)
    for word in words:
        assert word in str(error)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
    assert type(error).__name__ in repr(error)


def test_every_class_is_listed_documented_and_sampled() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert sorted(classes) == sorted(errors.__all__)
    assert all(cls.__doc__ and issubclass(cls, errors.Error) for cls in classes.values())
    assert {type(error) for error, _, _ in SAMPLES} == set(classes.values())
    assert not any(inspect.isfunction(value) for value in vars(errors).values())


def test_storage_error_keeps_what_the_system_said() -> None:
    error = errors.StorageError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/000003.log")
    assert (error.errno, error.filename) == (errno.ENOSPC, "/data/000003.log")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.errno, twin.strerror, twin.filename) == (error.errno, error.strerror, error.filename)


def test_locked_error_knows_its_own_process() -> None:
    error = errors.LockedError("/data", os.getpid())
    assert "this process" in str(error)
    assert (error.errno, error.filename, error.pid) == (errno.EWOULDBLOCK, "/data", os.getpid())
