"""Checkpoint: a copy of a hashlog by hard links, that can be opened at once.

Its files for keeping are never written to again, so two databases can share them; HASHLOG comes last, whole. While it is made
nothing is merged: what a merge leaves out because it was overwritten may be overwritten in a file that is not part of the copy.

Threads: one; writing goes on beside it.
"""
from __future__ import annotations

from dataclasses import replace

from lsm import _core
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.datafiles import DataFiles
from lsm.errors import NotADatabaseError


def link_into(target: _core.Directory, files: DataFiles) -> None:
    """Link what HASHLOG names as made for keeping into an empty directory, which is closed then."""
    try:
        if names := target.list():
            raise NotADatabaseError(target.path, f"a checkpoint needs a new or empty directory, this one holds {names[0]!r}")
        with files.lock:
            state = files.state
            for meta in state.files:
                for name in (_core.data_file_name(meta.number), _core.hint_file_name(meta.number)):
                    if name.endswith("data") or files.directory.exists(name):
                        files.directory.link(name, target)
        target.sync()
        manifest.prepare(target, replace(state, open=()))
        manifest.switch(target)
    finally:
        target.close()
