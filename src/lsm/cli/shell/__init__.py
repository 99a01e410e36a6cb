"""`lsm shell`: commands on one open database, typed or from a script.

In order of reading: words (a line and its words), session (the database and what is open on it), commands (what there is),
completion, history, interactive (typed at a terminal), script (from a pipe).
"""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsm.cli.arguments import EngineOrNew


def shell(
    path: Annotated[Path, typer.Argument(help="The directory of a database; it is made when there is none.")],
    engine: EngineOrNew = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only look; another process may have it open.")] = False,
    history: Annotated[bool, typer.Option(help="Keep the lines that are typed in a file (LSM_HISTORY names it).")] = True,
) -> int:
    """Type commands on one open database, with history and completion of keys; or run a script of them from stdin, which
    stops at the first error. `help` lists the commands."""
    import sys

    import lsm
    from lsm.cli.shell.session import Session

    if read_only:
        from lsm.source import open_source

        opened = open_source(path, engine)
    else:
        opened = lsm.open(path, engine=engine or lsm.engine_at(path) or "lsm")
    with opened as db, Session(db) as session:
        if sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty():
            from lsm.cli.shell.interactive import converse

            return converse(session, history)
        from lsm.cli.shell.script import run

        return run(session)
