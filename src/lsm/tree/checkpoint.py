"""Checkpoint: a second database, made of hard links to the tables of the first.

Tables are never changed, so both may share their bytes; each database unlinks its own names. The checkpoint has no
log: the caller has flushed. The tree's lock is held, so that no table goes meanwhile. Order of durable steps: the links,
their names, then a manifest: until CURRENT is there it is no database.
"""
from __future__ import annotations

import os

from lsm.errors import NotADatabaseError
from lsm.tree import manifest
from lsm.tree.tree import Tree, replace


def write(tree: Tree, path: str | os.PathLike[str]) -> None:
    with tree.lock:
        _write(tree, tree.parts.state, path)


def _write(tree: Tree, now: manifest.State, path: str | os.PathLike[str]) -> None:
    target = tree.core.Directory(path, create=True)
    try:
        names = target.list()
        if names:
            raise NotADatabaseError(path, f"a checkpoint needs a new or empty directory, this one holds {names[0]!r}")
        for meta in now.version.tables():
            tree.directory.link(meta.name, target)
        target.sync()
        state = replace(now, logs=(), number=tree.next_file, next_file=tree.next_file + 1)
        manifest.prepare(target, state)
        manifest.switch(target, state)
    finally:
        target.close()
