"""`lsm salvage`: what is still provably right of a damaged database, written into a new one."""
from pathlib import Path
from typing import Annotated, Optional

import typer

import lsm
from lsm.cli.arguments import Json, Quiet
from lsm.cli.completion import complete_directory, complete_engine
from lsm.cli.output import as_json, print_json, print_line
from lsm.cli.watch import Watch
from lsm.salvaging.rescue import STAGING

STEPS = {"read": "reading", "write": "writing"}


def salvage(
    source: Annotated[Path, typer.Argument(help="The directory of a damaged database (lsm, pylsm, hashlog). It is only read.",
                                           autocompletion=complete_directory)],
    destination: Annotated[Path, typer.Argument(help="A new or an empty directory.", autocompletion=complete_directory)],
    engine: Annotated[
        Optional[str], typer.Option(metavar="NAME", help="The engine of the new database.", show_default="that of the source",
                                    autocompletion=complete_engine)
    ] = None,
    only_certain: Annotated[bool, typer.Option("--only-certain", help="Leave out rows that may be stale.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rescue what is still provably right of a damaged database into a new one, and print what was lost. Status 0, lost or not."""
    from lsm.cli.bar import bar

    with Watch("salvage") as watch, bar() as progress:
        watch.unfinished(destination, STAGING)
        tasks = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(f"{STEPS[step]} {source}", unit="bytes")
            progress.update(tasks[step], completed=done, total=total)

        salvaged = lsm.salvage(source, destination, engine=engine, doubtful=not only_certain,
                               progress=None if progress.disable else tell)
    if json:
        print_json(path=str(destination), **as_json(salvaged))
    elif not quiet:
        print_line(str(salvaged))
