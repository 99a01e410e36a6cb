"""Rescue: the two doors to what a damaged database still holds: `salvage` writes it into a new one, `verify` only looks.

Neither locks or changes the source, so it must not be in use. What is rescued is made beside its place and given its name when
it is whole, synced and read again (staging.py). One thread.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lsm._chosen import core
from lsm.contract.report import Progress, Report
from lsm.errors import CorruptionError, NotADatabaseError, NotOfferedError
from lsm.place import MARKERS
from lsm.registry import engine_class
from lsm.salvaging.loss import Doubt
from lsm.salvaging.report import Salvaged
from lsm.salvaging.source import Source
from lsm.source import open_source
from lsm.staging import check_free, give_name, make_staging
from lsm.tree.files import numbered
from lsm.tree.manifest import manifest_number

STAGING = ".salvaging"
TREES = ("lsm", "pylsm")

Row = tuple[bytes, bytes]
Steps = Callable[[str, int, int], object]


def salvage(source: str | os.PathLike[str], destination: str | os.PathLike[str], *, engine: str | None = None,
            doubtful: bool = True, progress: Steps | None = None, **options: Any) -> Salvaged:
    """Rescue what is still provably right of the damaged database at `source` into a new one at `destination` (new or an empty
    directory). The source is only read; nobody may be writing to it.

    Every row was written as it is: its checksums hold. It is the newest of its key that is whole; where a damaged stretch may
    have held a newer one, or its deletion, the row counts as doubtful. docs/salvage.md has the rules.

    engine          of the new database; that of the source when not given
    doubtful        take rows that may be stale too (True)
    progress        called as progress(step, bytes read, bytes of all files), now and then, step being "read" (and checked) or
                    "write" (read again, and written)

    Other keywords are options of the new database; not given, those of the source hold. Answers a Salvaged: what was rescued, all
    that was damaged, and which rows are doubtful. For lsm, pylsm and hashlog; raises NotADatabaseError, VersionError,
    UnsupportedError, NotOfferedError, and what opening and writing raise.

    >>> db.put(b"kenya:capital", b"Nairobi")
    >>> db.close()
    >>> print(lsm.salvage("data", "rescued"))
    1 rows of 20 bytes rescued
    nothing was damaged
    """
    place = os.path.abspath(os.fsdecode(destination))
    step, told = "read", None
    if progress is not None:
        def told(done: int) -> None:
            progress(step, min(done, total), total)

    with Source(source, told) as files:
        kind, total = _kind(files), files.size()
        check_free(files.path, place)
        found = _read(files, kind)
        step = "write"
        files.begin_anew()
        name = engine or kind
        if not options and (name == kind or {name, kind} <= set(TREES)):
            options = found.options
        staging = make_staging(place, STAGING)
        try:
            salvaged = _write(found, staging, name, options, doubtful)
            give_name(staging, place)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return salvaged


def verify(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Report:
    """Read and check every byte of the database at `path`, also of one that does not open any more: `db.verify()` where it opens,
    else what can be told from its files. Each damage is a CorruptionError with the keys it concerns. Nothing is changed or
    locked; while it is being written to, ask `db.verify()` instead. `progress` is called with the bytes read so far, now and then.

    >>> db.put(b"kenya:capital", b"Nairobi")
    >>> bool(lsm.verify("data"))
    True
    """
    with Source(path, progress) as files:
        kind = _kind(files)
        try:
            with open_source(files.path, kind) as db:
                return db.verify(progress=progress)
        except CorruptionError as error:
            found = _read(files, kind)
            return Report(files=found.files, blocks=found.blocks, bytes=found.bytes, damage=_damage(found) or (error,))


def _kind(files: Source) -> str:
    """The engine that made these files, CURRENT or HASHLOG lost or not."""
    for marker, engine in MARKERS.items():
        if marker in files.names:
            if engine not in (*TREES, "hashlog"):
                raise NotOfferedError("salvage", engine, "its files are not of a format of this package", (*TREES, "hashlog"))
            return engine
    for name in files.names:
        if numbered(name) is not None or manifest_number(name) is not None:
            return "lsm"
        if name.endswith((".data", ".hint")) and name.partition(".")[0].isdigit():
            return "hashlog"
    raise NotADatabaseError(files.path, "nothing here is of a database: no manifest, no table, no log, no data file")


def _read(files: Source, kind: str) -> Any:
    """Everything is read and checked. What it takes of the plain core is imported only now."""
    if kind == "hashlog":
        engine_class(kind)                  # an UnsupportedError where it is not built
        from lsm.salvaging.hashed import Hashed

        return Hashed(files, core)
    from lsm.salvaging.tree import Tree

    return Tree(files, core)


def _damage(found: Any) -> tuple[CorruptionError, ...]:
    return tuple(loss.error() for loss in sorted(found.losses, key=lambda loss: (loss.path, loss.offset)))


def _write(found: Any, staging: str, engine: str, options: dict[str, Any], doubtful: bool) -> Salvaged:
    doubt, size = Doubt(found.losses), 0

    def counted(rows: Iterable[Row]) -> Iterator[Row]:
        nonlocal size
        for key, value in rows:
            size += len(key) + len(value)
            yield key, value

    with engine_class(engine)(staging, **options) as copy:
        rows = copy.write_many(counted(found.rows(doubt, doubtful)))
        copy.sync()
    with engine_class(engine)(staging, create=False) as copy:
        if "verify" not in copy.traits.refused:
            for error in copy.verify().damage:
                raise error
    return Salvaged(rows, size, _damage(found), doubt.rows, tuple(doubt.ranges), doubtful, (*found.notes, *found.source.notes))
