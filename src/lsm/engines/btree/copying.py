"""Copying: a tree made, or written anew without its free pages, in a directory of its own: of the same database (compaction) or
of another (checkpoint).

Invariant: of a copy that fails nothing is left; of one that is killed, a directory that nothing names, which the next open
removes. A copy is complete and durable, name included, when it is there.

Threads: one; the caller sees to it that nothing is written meanwhile.
"""
from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lsm._chosen import core
from lsm.engines.btree import layout
from lsm.engines.btree.environment import Environment, mapped
from lsm.engines.btree.layout import DATA
from lsm.engines.btree.options import MAP_BYTES_LEAST
from lsm.errors import Error, NotADatabaseError

if TYPE_CHECKING:
    from lsm import _core


def make_tree(directory: _core.Directory, number: int) -> None:
    """A new tree, with no rows."""
    place = layout.tree_path(directory, number)
    with core.Directory(place, create=True) as tree:        # makes its name durable too
        made = mapped(place, False, False, MAP_BYTES_LEAST)
        try:
            made.sync(True)
        finally:
            made.close()
        tree.sync()


def copy_tree(environment: Environment, directory: _core.Directory, number: int) -> None:
    """The tree as it is now, as one of this number in `directory`."""
    place = layout.tree_path(directory, number)
    try:
        with core.Directory(place, create=True) as tree:
            _copy_to(os.path.join(place, DATA), environment)
            tree.sync()
    except BaseException:
        layout.remove_tree(place)
        raise


def _copy_to(path: str, environment: Environment) -> None:
    try:
        with open(path, "xb", buffering=0) as file:
            environment.lmdb.copyfd(file.fileno(), True)
            os.fsync(file.fileno())
    except OSError as error:
        raise layout.storage_error(error, path) from error


def checkpoint(environment: Environment, path: str | os.PathLike[str]) -> None:
    """A database of its own at `path`, which is new or empty. Nothing is left there when it raises."""
    new = not os.path.lexists(path)
    target = core.Directory(path, create=True)
    try:
        if names := target.list():
            raise NotADatabaseError(path, f"a checkpoint needs a new or empty directory, this one holds {names[0]!r}")
        try:
            copy_tree(environment, target, layout.FIRST_TREE)
            layout.prepare(target, layout.FIRST_TREE)
            layout.switch(target)
        except BaseException:
            _clear(target, new)
            raise
    finally:
        target.close()


def _clear(target: _core.Directory, new: bool) -> None:
    """The marker first: what is removed bit by bit must not look whole."""
    for name in (layout.MARKER, layout.MARKER_NEW):
        with suppress(Error):
            target.unlink(name)
    layout.remove_tree(layout.tree_path(target, layout.FIRST_TREE))
    if new:
        with suppress(OSError):
            os.rmdir(target.path)
