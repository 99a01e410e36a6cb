"""Place: the directory a database lives in: opened, locked, and known for whose it is.

Each engine leaves a file in its directory by which it is told from others (MARKERS). Nothing is made, not even the lock,
before it is sure that the directory is new, empty, or a database of the engine that asks.

Threads: any; one directory is opened by one caller.
"""
from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from lsm.errors import LockedError, NotADatabaseError

if TYPE_CHECKING:
    from lsm import _core

LOCK = "LOCK"
MARKERS = {"CURRENT": "lsm", "HASHLOG": "hashlog", "BTREE": "btree"}      # file: the engine that makes it


def directory_at(core: ModuleType, path: str | os.PathLike[str], create: bool, read_only: bool) -> _core.Directory:
    """The directory, made if need be; NotADatabaseError when there is none or it is a file."""
    try:
        return core.Directory(path, create=create, read_only=read_only)      # type: ignore[no-any-return]
    except FileNotFoundError as error:
        raise NotADatabaseError(path) from error
    except NotADirectoryError as error:
        raise NotADatabaseError(path, "it is a file: give the directory of a database") from error


def check_ours(path: str, names: Iterable[str], marker: str, strangers: Iterable[str], create: bool) -> None:
    """Is the database of this marker here, or may one be made? `strangers` are the names that it would not know."""
    names = set(names)
    if marker in names:
        return
    for other in sorted(names & set(MARKERS)):
        engine = MARKERS[other]
        raise NotADatabaseError(path, f"it is a database of another engine: open it with engine={engine!r}, or turn a "
                                      "copy of it into one of this engine with `lsm convert`")
    for stranger in strangers:
        raise NotADatabaseError(path, f"it holds other things, such as {stranger!r}: give the directory of a database, "
                                      "or a new or empty one")
    if not create:
        raise NotADatabaseError(path)


def lock(directory: _core.Directory, timeout: float) -> None:
    """Take the lock, waiting for it up to `timeout` seconds. Raises LockedError."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return directory.lock(LOCK)
        except LockedError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def sizes_in(path: str | os.PathLike[str]) -> dict[str, int]:
    """Bytes of each file of a directory and of those in it, by name. A file that goes meanwhile is left out; without a directory there
    are none."""
    found = {}
    for place, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                file = os.path.join(place, name)
                found[os.path.relpath(file, path)] = os.stat(file).st_size
    return found


def bytes_in(path: str | os.PathLike[str]) -> int:
    """Of all files of a directory."""
    return sum(sizes_in(path).values())
