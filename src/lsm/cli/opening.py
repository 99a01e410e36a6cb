"""Opening: databases as the command line opens them: to be read beside whoever has them, or to be written.

The engine is told from the files of a database. One that keeps nothing is refused: what a command writes to it would be gone
when the command ends.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lsm
from lsm.dump.loading import check_fits as fits
from lsm.errors import NotADatabaseError, OptionError
from lsm.registry import engine_class
from lsm.source import open_source

NEW = "lsm"                     # the engine of a database that is made without naming one


def open_to_read(path: str | os.PathLike[str], engine: str | None = None) -> Any:
    """Takes no lock: the process that has it open goes on with it. It shows the database as it is now."""
    check_kept(engine)
    with _told_whose(path, engine):
        return open_source(path, engine)


def open_to_write(path: str | os.PathLike[str], engine: str | None = None, *, create: bool, wait: float = 0.0) -> Any:
    """Alone: LockedError when another process has it, and has it still after `wait` seconds."""
    check_kept(engine)
    with _told_whose(path, engine):
        return lsm.open(path, engine=engine_for(path, engine), create=create, lock_timeout=wait)


@contextmanager
def _told_whose(path: str | os.PathLike[str], engine: str | None) -> Iterator[None]:
    """Where the engine that was named finds no database of its own, there may be one of another."""
    try:
        yield
    except NotADatabaseError:
        found = lsm.engine_at(path)
        if engine is None or found in (None, engine):
            raise
        raise NotADatabaseError(path, f"it is a database of the engine {found}: leave out --engine {engine}") from None


def engine_for(path: str | os.PathLike[str], engine: str | None) -> str:
    """The engine that was named, that of the database there is, or that of a new one."""
    return engine or lsm.engine_at(path) or NEW


def check_fits(path: str | os.PathLike[str], engine: str | None, key: bytes, value: bytes | None) -> None:
    """Raise ValueError for an entry that the engine does not take, before a database is made for it."""
    fits(key, value, engine_class(engine_for(path, engine)).traits)


def check_kept(engine: str | None) -> None:
    """Raise OptionError when the engine keeps nothing, or there is no such engine."""
    if engine is not None and not engine_class(engine).traits.durable:
        kept = ", ".join(name for name in lsm.engine_names() if engine_class(name).traits.durable)
        raise OptionError("engine", engine, f"one that keeps what is written: {kept}")
