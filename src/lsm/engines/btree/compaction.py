"""Compaction: the tree written anew without its free pages, and the database gone over to the new one.

1. the copy, in a directory of its own, durable with its names       its failure changes nothing: the copy is removed
2. the copy opened                                                    what cannot be opened is not gone over to
3. the marker written anew, the directory synced                      its failure changes nothing, but a failed sync is believed
4. the marker renamed, the directory synced                           its failure leaves it open which tree counts: both stay
5. readers and writers shown the new tree; the old one removed        other processes that have it open keep its bytes

From 3 on no signal's handler can come in between.

Threads: one, with the lock of the engine.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from lsm.background import passes
from lsm.contract.uninterrupted import uninterrupted
from lsm.engines.btree import copying, layout
from lsm.engines.btree.environment import Environment, environment_of
from lsm.errors import ForkedError

if TYPE_CHECKING:
    from lsm import _core


class Compacted(Protocol):
    """What of the database this changes."""

    path: str
    _directory: _core.Directory
    _environment: Environment
    _number: int                        # of its tree
    _failure: BaseException | None      # after which nothing is written any more
    _process: int
    _stand_ins: dict[int, int]          # threads that do a step for another one


def compact(db: Compacted) -> None:
    old, directory = db._environment, db._directory
    old.lmdb.reader_check()
    layout.remove_others(directory, db._number)         # a signal's handler raised in the middle of the one before
    number = layout.next_number(directory, db._number)
    place = layout.tree_path(directory, number)
    new: Environment | None = None
    try:
        copying.copy_tree(old, directory, number)
        new = environment_of(place, db, read_only=False, lazy=old.lazy, map_bytes=old.map_bytes)
        _go_over_uninterrupted(db, new, number)
    except BaseException:
        if db._number != number and os.getpid() == db._process:
            if new is not None:
                new.leave(db, ())
            if db._failure is None:
                layout.remove_tree(place)
        raise


def _go_over_uninterrupted(db: Compacted, new: Environment, number: int) -> None:
    uninterrupted(lambda: _go_over(db, new, number), lambda: _left(db), db._stand_ins)


def _go_over(db: Compacted, new: Environment, number: int) -> None:
    old = db._environment
    try:
        layout.prepare(db._directory, number)
        layout.switch(db._directory)
    except BaseException as error:
        if not passes(error):
            db._failure = error
        raise
    db._environment, db._number = new, number
    old.leave(db, ())
    layout.remove_tree(old.place)


def _left(db: Compacted) -> None:
    raise ForkedError(f"{db.path}: this database was opened by another process; after a fork the child must open its own")
