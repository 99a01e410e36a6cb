"""lsm: an embedded, ordered, durable key-value store.

    >>> import lsm, tempfile
    >>> with lsm.open(tempfile.mkdtemp()) as db:
    ...     db.put(b"kenya:capital", b"Nairobi")
    ...     list(db.scan(prefix=b"kenya:"))
    [(b'kenya:capital', b'Nairobi')]

`open` opens a database and answers a `DB`; that has `get`, `put`, `scan`, `cursor` and the rest. `Options` says how it
is laid out and run. Everything the store has to say is an `Error`; wrong types are TypeErrors and values over the
limits ValueErrors, as everywhere. In the examples `db` is a database that was just made.
"""
from typing import TYPE_CHECKING

from lsm._chosen import core
from lsm.contract.engine import Engine
from lsm.contract.report import Report
from lsm.contract.traits import Traits
from lsm.conversion import Converted, convert
from lsm.engines.lsm import DB
from lsm.errors import (
    BusyError,
    ClosedError,
    CorruptionError,
    DifferenceError,
    Error,
    ForkedError,
    FormatError,
    LockedError,
    NotADatabaseError,
    NotOfferedError,
    OptionError,
    OptionNameError,
    PolicyError,
    ReadOnlyError,
    StorageError,
    UnsupportedError,
    VersionError,
)
from lsm.options import Options
from lsm.registry import engine_at, engine_names, open
from lsm.salvaging.report import Salvaged
from lsm.salvaging.rescue import salvage, verify
from lsm.stats import LevelStats, Stats

if TYPE_CHECKING:
    from lsm._core import BlockCache, Chunk, ChunkScan, Column, Cursor, Scan, Snapshot, WriteBatch
else:
    BlockCache, Chunk, ChunkScan, Column = core.BlockCache, core.Chunk, core.ChunkScan, core.Column
    Cursor, Scan, Snapshot, WriteBatch = core.Cursor, core.Scan, core.Snapshot, core.WriteBatch

__version__ = "0.1.0"

__all__ = [
    "DB", "BlockCache", "BusyError", "Chunk", "ChunkScan", "ClosedError", "Column", "Converted", "CorruptionError",
    "Cursor", "DifferenceError", "Engine", "Error", "ForkedError", "FormatError", "LevelStats", "LockedError",
    "NotADatabaseError", "NotOfferedError", "OptionError", "OptionNameError", "Options", "PolicyError", "ReadOnlyError",
    "Report", "Salvaged", "Scan", "Snapshot", "Stats", "StorageError", "Traits", "UnsupportedError", "VersionError", "WriteBatch",
    "convert", "engine_at", "engine_names", "open", "salvage", "verify",
]
