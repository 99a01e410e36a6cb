"""Cursor: a place in the order of the keys that can be moved both ways.

Rows come from a generator, which goes one way only. Going on in its direction takes the next row; to turn round, or to
seek, another generator is begun at that place: the plain form of the contract (lsm/contract/rows.py), over a Stand.
"""
from __future__ import annotations

from typing import Any

from lsm._pycore.scan import Stand, enlist
from lsm._pycore.view import View
from lsm.contract import rows


class Cursor(rows.Cursor):
    """A place in the order of the keys that can be moved both ways. Made by `DB.cursor` and `Snapshot.cursor`.

    It sees the database as it was when it was made. Every move answers whether it stands on a row. Off either end it
    stands nowhere, and `next` and `prev` keep it there: `seek`, `first` and `last` bring it back. Moves raise
    CorruptionError, StorageError, ClosedError (it, or its database), BusyError (two threads at once). Until it is
    closed or dropped it keeps the memtables and files it began with.
    """

    def __init__(self, store: Any, view: View | None, sequence: int) -> None:
        super().__init__(Stand(store, view, sequence), store._check_readable)
        enlist(store, self)
