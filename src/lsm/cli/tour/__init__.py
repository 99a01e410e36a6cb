"""`lsm tour`: the store's promises, shown and checked on data that every machine with Python has.

In order of reading: itinerary (the steps), guide (how a step is told, checked and timed), corpus (the data), then one
file a step: loading, reading, changing, crash (with writer, the process that is killed), upkeep; and picture.
"""
from pathlib import Path
from typing import Annotated, Optional

import typer

from lsm.cli.completion import complete_directory


def tour(
    path: Annotated[
        Optional[Path],
        typer.Option(help="Keep the tour's databases in this new or empty directory.", show_default="temporary",
                     autocompletion=complete_directory),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small part of the data: a few seconds.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON, at the end, and nothing else.")] = False,
) -> int:
    """Load the source of Python's standard library, look around, crash, recover, and show the tree."""
    from lsm.cli.tour.itinerary import take

    return take(path, quick, json)
