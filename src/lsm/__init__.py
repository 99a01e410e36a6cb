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
from lsm._core import BlockCache, Chunk, ChunkScan, Column, Cursor, Scan, Snapshot, WriteBatch
from lsm.engine import Engine
from lsm.errors import (
    BusyError,
    ClosedError,
    CorruptionError,
    Error,
    ForkedError,
    LockedError,
    NotADatabaseError,
    OptionError,
    OptionNameError,
    PolicyError,
    ReadOnlyError,
    StorageError,
    UnsupportedError,
    VersionError,
)
from lsm.options import Options
from lsm.registry import open
from lsm.stats import LevelStats, Stats
from lsm.tree.database import DB
from lsm.tree.inspect import Report

__version__ = "0.1.0"

__all__ = [
    "DB", "BlockCache", "BusyError", "Chunk", "ChunkScan", "ClosedError", "Column", "CorruptionError", "Cursor", "Engine",
    "Error", "ForkedError",
    "LevelStats", "LockedError", "NotADatabaseError", "OptionError", "OptionNameError", "Options", "PolicyError",
    "ReadOnlyError", "Report", "Scan", "Snapshot", "Stats", "StorageError", "UnsupportedError", "VersionError", "WriteBatch",
    "open",
]
