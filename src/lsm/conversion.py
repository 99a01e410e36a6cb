"""Conversion: a database copied into another engine, or into other options of the same, row by row, and read again.

The copy is made beside its place, in DESTINATION.converting, closed, opened again, compared with the source row by row,
and only then given its name. So there is never anything at the destination that looks whole and is not: when it fails or
is interrupted, the copy is removed; when it is killed, what is left has the other name, and the next attempt says so.

Threads: one. The source may be in use: what is copied is one snapshot of it. It stays as it is.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lsm.contract.engine import Engine
from lsm.errors import DifferenceError, OptionError
from lsm.registry import engine_class, engine_names
from lsm.source import open_source
from lsm.staging import check_free, give_name, make_staging

STAGING = ".converting"
TOLD_EVERY = 4096               # rows between two reports of progress

Row = tuple[bytes, bytes]
Progress = Callable[[str, int, "int | None"], object]


@dataclass(frozen=True)
class Converted:
    """What `convert` copied, all of it compared: rows, and bytes of their keys and values."""

    rows: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows of {self.bytes:,} bytes copied, each of them read again and compared"


def convert(source: str | os.PathLike[str], destination: str | os.PathLike[str], *, engine: str,
            source_engine: str | None = None, progress: Progress | None = None, **options: Any) -> Converted:
    """Copy the database at `source` into a new one of `engine` at `destination` (new or an empty directory), sync it, then
    read both side by side and compare every row. The source is left as it is.

    source_engine   the engine of the source; found by its files when not given
    progress        called as progress(step, rows, rows in all or None), step being "count", "copy" or "verify"

    Other keywords are options of the new database. Raises DifferenceError when the copy does not hold the same, ValueError
    when a key or value is over the limits of the engine, and what opening, reading and writing raise. Whatever it
    raises, there is nothing at `destination` then. (Only when its name could not be made durable and power is lost soon
    after, the whole copy may be found there.)

    >>> db.put(b"kenya:capital", b"Nairobi")
    >>> print(lsm.convert("data", "copy", engine="lsm", compression="none"))
    1 rows of 20 bytes copied, each of them read again and compared
    """
    told = progress or _untold
    _check_keeps(engine)
    place = os.path.abspath(os.fsdecode(destination))
    with open_source(source, source_engine) as rows, rows.snapshot() as then:
        check_free(os.fsdecode(source), place)
        if progress is not None:
            progress("count", 0, None)
        total = len(then) if progress is not None else None
        staging = make_staging(place, STAGING)
        try:
            copied = _copy(then, staging, engine, options, told, total)
            _compare(then, staging, engine, os.fsdecode(source), told, copied.rows)
            give_name(staging, place)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return copied


def _untold(step: str, rows: int, total: int | None) -> None:
    pass


def _check_keeps(engine: str) -> None:
    if not engine_class(engine).traits.durable:
        kept = ", ".join(repr(name) for name in engine_names() if engine_class(name).traits.durable)
        raise OptionError("engine", engine, f"one that keeps what is written: {kept}")


def _copy(then: Any, staging: str, engine: str, options: dict[str, Any], told: Progress, total: int | None) -> Converted:
    size = 0

    def counted(rows: Iterable[Row]) -> Iterator[Row]:
        nonlocal size
        for key, value in rows:
            size += len(key) + len(value)
            yield key, value

    with _opened(engine, staging, **options) as copy:
        rows = copy.write_many(_telling("copy", counted(then.scan()), told, total))
        copy.sync()
    told("copy", rows, rows)
    return Converted(rows, size)


def _compare(then: Any, staging: str, engine: str, source: str, told: Progress, total: int) -> None:
    """Opened again, so that what is compared is what is on disk."""
    with _opened(engine, staging, create=False) as copy:
        rows = _telling("verify", then.scan(), told, total)
        for row, copied in zip_longest(rows, copy.scan()):
            if row != copied:
                raise DifferenceError(source, staging.removesuffix(STAGING), _difference(row, copied))
    told("verify", total, total)


def _difference(row: Row | None, copied: Row | None) -> str:
    if copied is None or (row is not None and row[0] < copied[0]):
        assert row is not None
        return f"the key {row[0][:40]!r} is missing"
    if row is None or copied[0] < row[0]:
        return f"the key {copied[0][:40]!r} was not in the source"
    return f"the key {row[0][:40]!r} has another value"


def _opened(engine: str, path: str, **how: Any) -> Engine:
    return engine_class(engine)(path, **how)        # type: ignore[no-any-return]


def _telling(step: str, rows: Iterable[Row], told: Progress, total: int | None) -> Iterator[Row]:
    """The rows, and now and then how many there were."""
    told(step, 0, total)
    for count, row in enumerate(rows, 1):
        yield row
        if count % TOLD_EVERY == 0:
            told(step, count, total)
