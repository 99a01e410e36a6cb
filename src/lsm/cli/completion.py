"""Completion: what a shell offers for the word that is being typed: engines, paths, keys.

Called in a process of its own at each press of the key, which has nothing else to do. It must be quick, say nothing, and
change nothing: whatever goes wrong, nothing is offered.
"""
from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from itertools import islice
from typing import Any

import typer

OFFERED = 50                                        # keys: a shell shows no more than fit on a screen
COLON = re.compile(r"(?<=.)\n:(?:\n(?=.)|$)")       # as bash takes a word apart


def complete_engine(incomplete: str) -> list[str]:
    """The names of engines."""
    from lsm import engine_names

    return [name for name in engine_names() if name.startswith(incomplete)]


def complete_directory(incomplete: str) -> list[str]:
    """Typer hides what the shell itself would offer for a path."""
    return [path for path in complete_path(incomplete) if path.endswith("/")]


def complete_path(incomplete: str) -> list[str]:
    """Files and directories."""
    place, begun = os.path.split(incomplete)
    try:
        found = sorted(os.scandir(place or "."), key=lambda entry: entry.name)
        return [os.path.join(place, entry.name) + ("/" if entry.is_dir() else "")
                for entry in found if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))]
    except OSError:
        return []


def complete_key(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of the database named before that begin so. Only those that can be typed as they are."""
    path = context.params.get("path") or next(iter(context.args), None)     # the latter in the value of an option
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


def complete(answer: Callable[[], object]) -> None:
    """Let Typer answer a shell. For bash a word ends at a colon, and keys are full of them: it asks for `kenya`, `:`, `cap`,
    each on a line, and takes only what follows the last colon."""
    words = os.environ.get("COMP_WORDS", "")
    joined = COLON.sub(":", words)
    if os.environ["_LSM_COMPLETE"] != "complete_bash" or joined == words:
        answer()
        return
    taken_apart = words.count("\n") - joined.count("\n")
    os.environ.update(COMP_WORDS=joined, COMP_CWORD=str(int(os.environ["COMP_CWORD"]) - taken_apart))
    offered = io.StringIO()
    try:
        with redirect_stdout(offered):
            answer()
    finally:
        there = joined.rsplit("\n", 1)[-1].rsplit(":", 1)[0] + ":"
        print("\n".join(line.removeprefix(there) for line in offered.getvalue().splitlines()))
