"""`lsm top`: a live view of a database.

In order of reading: frame (what is shown of a moment), files, counters, server (where frames come from), limits (when a level
is full), picture (how a frame is drawn), show (one frame after the other).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from lsm.cli.arguments import Engine, Json
from lsm.cli.completion import complete_path

if TYPE_CHECKING:
    from lsm.cli.top.frame import Source
    from lsm.contract.engine import Engine as Database


def top(
    source: Annotated[str, typer.Argument(metavar="DB|URL", help="The directory of a database, or the address of an `lsm serve`.",
                                          autocompletion=complete_path)],
    interval: Annotated[float, typer.Option("--interval", "-i", min=0.05, help="Seconds from one frame to the next.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="One frame, and no terminal is needed.")] = False,
    count: Annotated[Optional[int], typer.Option("--count", "-n", min=1, help="End after so many frames.")] = None,
    json: Json = False,
    engine: Engine = None,
) -> None:
    """Show how a database changes, live: levels, log, rates, flushes and compactions. Ends by q or Ctrl-C.

    The process that writes the database goes on: only files are read. With the address of an `lsm serve` the counters of its
    process are shown, too; a server that wants a token gets that of LSM_READ_TOKEN or LSM_TOKEN."""
    from lsm.cli.top.show import show

    show(source_of(source, engine), interval, 1 if once else count, json)


def view(db: Database, interval: float = 1.0, count: int | None = None) -> None:
    """The same of a database that this process has open, in the thread that calls it, until q, Ctrl-C, or so many frames."""
    from lsm.cli.top.counters import of_database
    from lsm.cli.top.show import show

    show(of_database(db), interval, count, False)


def source_of(place: str, engine: str | None) -> Source:
    """What frames of this place are made from."""
    if place.startswith(("http://", "https://")):
        from lsm.cli.top.server import of_server

        return of_server(place)
    import lsm
    from lsm.cli.top.counters import of_files
    from lsm.cli.top.files import Files

    name = engine or lsm.engine_at(place) or "lsm"
    return Files(place) if name in ("lsm", "pylsm") else of_files(place, name)
