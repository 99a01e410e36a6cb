"""`lsm shell`: commands on one open database, typed or from a script.

In order of reading: words (a line and its words), session (the database and what is open on it), commands (what there is),
completion, history, interrupts (Ctrl-C), interactive (typed at a terminal), script (from a pipe).
"""
from __future__ import annotations

from typing import Annotated

import typer

from lsm.cli.arguments import DatabaseOrNew, EngineOrNew, Json, Wait


def shell(
    path: DatabaseOrNew,
    engine: EngineOrNew = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only look; another process may have it open.")] = False,
    history: Annotated[bool, typer.Option(help="Keep the lines that are typed in a file (LSM_HISTORY names it).")] = True,
    json: Json = False,
    wait: Wait = 0.0,
) -> int:
    """Type commands on one open database, with history and completion of keys; or run a script of them from stdin, which
    stops at the first error. `help` lists the commands."""
    import sys

    from lsm.cli.opening import open_to_read, open_to_write
    from lsm.cli.shell.session import Session

    opened = open_to_read(path, engine) if read_only else open_to_write(path, engine, create=True, wait=wait)
    with opened as db, Session(db, json) as session:
        if sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty():
            from lsm.cli.shell.interactive import converse

            return converse(session, history)
        from lsm.cli.shell.script import run

        return run(session)
