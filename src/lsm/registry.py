"""Registry: the engines by name, and the one function that opens them."""
from __future__ import annotations

import difflib
import os
from typing import Any

from lsm.errors import OptionError
from lsm.tree.database import DB

ENGINES: dict[str, type[DB]] = {"lsm": DB}


def open(path: str | os.PathLike[str], *, engine: str = "lsm", **how: Any) -> DB:
    """Open the database in the directory `path`, and make it if there is none.

    engine          "lsm" is the only one there is
    create          make the database, and the directory, when there is none (True)
    read_only       take no lock and write nothing; see what was there when it was opened (False)
    lock_timeout    seconds to wait for another process to close it (0.0)
    block_cache     an `lsm.BlockCache` to share between databases
    options         an `lsm.Options` in the place of what is stored; or give fields as keywords over what is stored.
                    What is in force is stored with the database and holds at the next open; not when `read_only`.

    Raises LockedError (path, pid), NotADatabaseError, CorruptionError (path, offset), VersionError, UnsupportedError,
    OptionError, OptionNameError, StorageError (an OSError), TypeError, ValueError. Cost: reads the index and the
    filter of each table, and the log of what had not been flushed, which is then flushed; after a clean close there
    is none.

    >>> import tempfile, lsm
    >>> with lsm.open(tempfile.mkdtemp()) as db:
    ...     db[b"kenya:capital"] = b"Nairobi"
    ...     db.get(b"kenya:capital")
    b'Nairobi'
    """
    if engine not in ENGINES:
        near = difflib.get_close_matches(engine, ENGINES, 1)
        raise OptionError("engine", engine, f"{near[0]!r}" if near else "one of " + ", ".join(map(repr, ENGINES)))
    return ENGINES[engine](path, **how)
