"""Source: a database opened only to be read, whatever its engine: what a copy or a dump is made from.

It takes no lock where the engine can do without: the process that has the database goes on with it.
"""
from __future__ import annotations

import os

from lsm.contract.engine import Engine
from lsm.errors import NotADatabaseError
from lsm.registry import engine_at, engine_class


def open_source(path: str | os.PathLike[str], engine: str | None = None) -> Engine:
    """The database at `path`, of the engine that made it, or of the one named. Raises NotADatabaseError."""
    name = engine or engine_at(path)
    if name is None:
        raise NotADatabaseError(path, "there is no database here of an engine of this package: give the directory of one; "
                                      "for one of another package, name its engine too")
    found = engine_class(name)
    if "read_only" in found.traits.refused:
        return found(path, create=False)            # type: ignore[no-any-return]
    return found(path, create=False, read_only=True)    # type: ignore[no-any-return]
