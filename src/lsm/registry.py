"""Registry: the engines by name, and the one function that opens them.

An engine of somebody else's is found by its entry point in the group "lsm.engines": a name, and a class that keeps the
contract (`lsm.Engine`) and is called as `Class(path, create=..., read_only=..., lock_timeout=..., **options)`.
examples/engine is one. Engines are imported when they are first opened.
"""
from __future__ import annotations

import difflib
import os
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, overload

from lsm.contract.engine import Engine
from lsm.errors import OptionError, UnsupportedError
from lsm.place import MARKERS

if TYPE_CHECKING:
    from lsm.engines.lsm import DB

ENGINES = {"lsm": "lsm.engines.lsm:DB", "hashlog": "lsm.engines.hashlog.database:HashLog",
           "btree": "lsm.engines.btree:BTree", "pylsm": "lsm.engines.pylsm:PyDB",
           "memory": "lsm.engines.memory:Memory"}
GROUP = "lsm.engines"


def engine_names() -> tuple[str, ...]:
    """The names of the engines there are: those of this package, then those of others.

    >>> "lsm" in lsm.engine_names() and "memory" in lsm.engine_names()
    True
    """
    return (*ENGINES, *sorted({point.name for point in entry_points(group=GROUP)} - ENGINES.keys()))


def engine_class(name: str) -> Any:
    """The class of an engine. Raises OptionError for a name nobody has."""
    if name in ENGINES:
        module, _, attribute = ENGINES[name].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ImportError as missing:
            if lacking := _lacking(missing):
                raise UnsupportedError(f"the engine {name!r} needs {lacking}") from missing
            raise
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.load()
    near = difflib.get_close_matches(name, engine_names(), 1)
    raise OptionError("engine", name, f"{near[0]!r}" if near else "one of " + ", ".join(map(repr, engine_names())))


def _lacking(missing: ImportError) -> str | None:
    """What is not installed, and what to do; None when something else keeps a module from being imported."""
    if missing.name == "lsm._core" or (missing.name == "lsm" and "'_core'" in missing.msg):     # `from lsm import _core`
        return (f"the compiled core of lsm, which was not built here ({missing.msg}): install a wheel, or a C compiler and "
                "install again; or open with engine='pylsm', which does without")
    if isinstance(missing, ModuleNotFoundError):
        return f"the module {missing.name!r}, which is not here: install it"
    return None


def engine_at(path: str | os.PathLike[str]) -> str | None:
    """Which engine's database is in this directory? None when it is none, or not one of this package.

    >>> lsm.engine_at("data"), lsm.engine_at("nowhere")
    ('lsm', None)
    """
    return next((engine for marker, engine in MARKERS.items() if os.path.isfile(os.path.join(path, marker))), None)


@overload
def open(path: str | os.PathLike[str], *, engine: Literal["lsm"] = "lsm", **how: Any) -> DB: ...
@overload
def open(path: str | os.PathLike[str], *, engine: str, **how: Any) -> Engine: ...
def open(path: str | os.PathLike[str], *, engine: str = "lsm", **how: Any) -> Any:
    """Open the database in the directory `path`, and make it if there is none.

    engine          "lsm", the log-structured merge-tree; "pylsm", the same in plain Python; "hashlog", a Bitcask;
                    "btree", LMDB; "memory"; or one that was installed beside them
    create          make the database, and the directory, when there is none (True)
    read_only       write nothing; see what was there when it was opened (False)
    lock_timeout    seconds to wait for another process to close it (0.0)

    and of lsm and pylsm

    block_cache     an `lsm.BlockCache` to share between databases
    options         an `lsm.Options` in the place of what is stored; or give fields as keywords over what is stored.
                    What is in force is stored with the database and holds at the next open; not when `read_only`.

    Other engines take options of their own as keywords. Answers an `lsm.Engine`; for "lsm", the `lsm.DB`.

    Raises LockedError (path, pid), NotADatabaseError, CorruptionError (path, offset), VersionError, UnsupportedError,
    OptionError, OptionNameError, StorageError (an OSError), TypeError, ValueError. Cost, for lsm: reads the index and the
    filter of each table, and the log of what had not been flushed, which is then flushed; after a clean close there
    is none.

    >>> import tempfile, lsm
    >>> with lsm.open(tempfile.mkdtemp()) as db:
    ...     db[b"kenya:capital"] = b"Nairobi"
    ...     db.get(b"kenya:capital")
    b'Nairobi'
    """
    if not isinstance(engine, str):
        raise TypeError(f"engine is the name of an engine, not {type(engine).__name__}")
    return engine_class(engine)(path, **how)
