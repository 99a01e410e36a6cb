"""`lsm checkpoint`: a copy of a database as it is now, that can be opened at once."""
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from lsm.cli.arguments import Database, Engine, Json, Quiet, Wait
from lsm.cli.completion import complete_directory
from lsm.cli.opening import open_to_write
from lsm.cli.outcome import say
from lsm.cli.output import print_json
from lsm.cli.sizes import size
from lsm.cli.watch import Watch
from lsm.place import bytes_in


def checkpoint(
    path: Database,
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="A new or an empty directory.", autocompletion=complete_directory)
    ],
    json: Json = False,
    quiet: Quiet = False,
    engine: Engine = None,
    wait: Wait = 0.0,
) -> None:
    """Make a copy of a database as it is now, that can be opened at once. When that fails there is no copy."""
    from lsm.cli.bar import looked_after

    with Watch("checkpoint") as watch, open_to_write(path, engine, create=False, wait=wait) as db, looked_after(
            f"copying {path}", bytes_in(path), lambda: bytes_in(destination)):
        free = not os.path.lexists(destination) or os.path.isdir(destination) and not os.listdir(destination)
        try:
            watch.leftovers += [destination] * free
            db.checkpoint(destination)
        except BaseException:
            if free:
                shutil.rmtree(destination, ignore_errors=True)
            raise
        watch.leftovers.clear()
    copied = bytes_in(destination)
    if json:
        print_json(path=str(destination), bytes=copied)
    elif not quiet:
        say("checkpoint", f"{destination} is a copy of {path}, {size(copied)}")
