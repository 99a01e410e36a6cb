"""Sources: the entries of what lies on disk: a database of any engine, one table, one log. Nothing is changed or locked.

Of a damaged file all is given that comes before the damage, then CorruptionError is raised. One thread.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from lsm._chosen import core
from lsm.dump.log import log_entries
from lsm.errors import NotADatabaseError, OptionError, StorageError
from lsm.source import open_source

LOG_MAGIC, TABLE_MAGIC = b"lsm.log\n", b"lsmtable"
CACHE_BYTES = 1 << 20
DELETE = 0


def entries(path: str | os.PathLike[str], *, engine: str | None = None, versions: bool = False) -> Iterator[Any]:
    """What is in a database, a table file or a log file.

    Of a database the rows of this moment as (key, value), in the order of the keys; `engine` names its engine when it is of
    another package. Of a table the newest entry of each key, in the order of the keys, and of a log every entry in the
    order of writing; a deletion is (key, None). With `versions`, every entry of the file as (key, value, sequence).
    """
    name = os.fsdecode(path)
    if os.path.isdir(name):
        if versions:
            raise OptionError("versions", True, "it with a table or a log: of a database the newest rows are shown")
        return _rows(name, engine)
    found = _every(name)
    if versions:
        return found
    return _newest(found) if _is_table(name) else ((key, value) for key, value, _ in found)


def _rows(path: str, engine: str | None) -> Iterator[tuple[bytes, bytes]]:
    with open_source(path, engine) as db:
        yield from db.scan()


def _every(path: str) -> Iterator[tuple[bytes, bytes | None, int]]:
    if _is_table(path):
        return _of_table(path)
    if path.endswith(".log") or _begins(path, LOG_MAGIC):
        return log_entries(_read(path), path)
    raise NotADatabaseError(path, "neither a table nor a log: give one, or the directory of a database")


def _is_table(path: str) -> bool:
    """By its name or its end, so that a damaged one is known as what it is."""
    return path.endswith(".table") or (not path.endswith(".log") and _ends(path, TABLE_MAGIC))


def _begins(path: str, magic: bytes) -> bool:
    return _read(path, 0, len(magic)) == magic


def _ends(path: str, magic: bytes) -> bool:
    return _read(path, -len(magic), len(magic)) == magic


def _read(path: str, offset: int = 0, size: int = -1) -> bytes:
    """Bytes of the file; from its end when the offset is negative."""
    try:
        with open(path, "rb") as file:
            file.seek(max(offset, -os.fstat(file.fileno()).st_size), os.SEEK_END if offset < 0 else os.SEEK_SET)
            return file.read(size)
    except FileNotFoundError:
        raise NotADatabaseError(path, "there is no such file or database") from None
    except OSError as error:
        raise StorageError(error.errno, error.strerror, path) from error


def _newest(found: Iterator[tuple[bytes, bytes | None, int]]) -> Iterator[tuple[bytes, bytes | None]]:
    """Of each key, the first."""
    last = None
    for key, value, _ in found:
        if key != last:
            yield key, value
            last = key


def _of_table(path: str) -> Iterator[tuple[bytes, bytes | None, int]]:
    directory, name = os.path.split(path)
    _read(path, size=0)
    with core.Directory(directory or ".", read_only=True) as opened:
        for key, sequence, kind, value in _steps(core.Table(opened, name, core.BlockCache(CACHE_BYTES))):
            yield key, None if kind == DELETE else value, sequence


def _steps(table: Any) -> Iterator[tuple[bytes, int, int, bytes]]:
    """(key, sequence, kind, value) one by one; by the core in plain Python, which has no such cursor, all at once."""
    if not hasattr(table, "cursor"):
        yield from table.entries_list(scan=True)
        return
    cursor = table.cursor(scan=True)
    entry = cursor.first()
    while entry is not None:
        yield entry
        entry = cursor.next()
