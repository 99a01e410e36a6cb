"""`lsm convert`: a database copied into another engine, and compared."""
from pathlib import Path
from typing import Annotated, Optional

import typer

import lsm
from lsm.cli.arguments import Json, Quiet
from lsm.cli.completion import complete_directory, complete_engine
from lsm.cli.outcome import say
from lsm.cli.output import print_json
from lsm.cli.watch import Watch
from lsm.conversion import STAGING

STEPS = {"count": "counting", "copy": "copying", "verify": "comparing"}


def convert(
    source: Annotated[Path, typer.Argument(help="The directory of a database of any engine. It is only read.",
                                           autocompletion=complete_directory)],
    destination: Annotated[Path, typer.Argument(help="A new or an empty directory.", autocompletion=complete_directory)],
    engine: Annotated[str, typer.Option(metavar="NAME", help="The engine of the copy: lsm, hashlog, btree, pylsm, ...",
                                          autocompletion=complete_engine)],
    source_engine: Annotated[
        Optional[str], typer.Option(metavar="NAME", help="The engine of the source.", show_default="told from its files",
                                    autocompletion=complete_engine)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy a database into another engine, then read both and compare every row. When that fails there is no copy."""
    from lsm.cli.bar import bar

    with Watch("convert") as watch, bar() as progress:
        watch.unfinished(destination, STAGING)
        tasks = {}

        def tell(step: str, rows: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(STEPS[step], unit="rows")
            progress.update(tasks[step], completed=rows, total=total)

        converted = lsm.convert(source, destination, engine=engine, source_engine=source_engine,
                                progress=None if progress.disable else tell)
    if json:
        print_json(path=str(destination), rows=converted.rows, bytes=converted.bytes)
    elif not quiet:
        say("convert", f"{converted}; {source} is as it was")
