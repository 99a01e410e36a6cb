"""Completion: what a shell offers for the word that is being typed: engines, paths, keys.

Called in a process of its own at each press of the key, which has nothing else to do. It must be quick, say nothing, and
change nothing: whatever goes wrong, nothing is offered.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

import typer

OFFERED = 50                # keys; a shell shows no more than fit on a screen


def complete_engine(incomplete: str) -> list[str]:
    """The names of engines."""
    from lsm import engine_names

    return [name for name in engine_names() if name.startswith(incomplete)]


def complete_path(incomplete: str) -> list[str]:
    """Files and directories: Typer hides what the shell itself would offer for a path."""
    place, begun = os.path.split(incomplete)
    try:
        found = sorted(os.scandir(place or "."), key=lambda entry: entry.name)
        return [os.path.join(place, entry.name) + ("/" if entry.is_dir() else "")
                for entry in found if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))]
    except OSError:
        return []


def complete_key(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of the database named before that begin so. Only those that a shell gives on as they are."""
    path = next((context.params[name] for name in ("path", "database") if context.params.get(name)), None)
    if path is None:
        return []
    try:
        return list(islice(_keys(path, context.params.get("engine"), incomplete), OFFERED))
    except Exception:
        return []


def _keys(path: Any, engine: str | None, begun: str) -> Iterator[str]:
    from lsm.cli.opening import open_to_read

    with open_to_read(path, engine) as db:
        for key in db.scan(prefix=os.fsencode(begun), values=False):
            try:
                shown = key.decode()
            except UnicodeDecodeError:
                continue
            if shown.isprintable():
                yield shown
