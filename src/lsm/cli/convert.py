"""`lsm convert`: a database copied into another engine, and compared."""
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

import lsm
from lsm.cli.arguments import Quiet

STEPS = {"count": "counting", "copy": "copying", "verify": "comparing"}


def convert(
    source: Annotated[Path, typer.Argument(help="The directory of a database of any engine. It is only read.")],
    destination: Annotated[Path, typer.Argument(help="A new or an empty directory.")],
    engine: Annotated[str, typer.Option(help="The engine of the copy: lsm, hashlog, btree, pylsm, ...")],
    source_engine: Annotated[
        Optional[str], typer.Option(help="The engine of the source.", show_default="told from its files")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Copy a database into another engine, then read both and compare every row. When that fails there is no copy."""
    from lsm.cli.bar import bar

    with bar() as progress:
        tasks = {}

        def tell(step: str, rows: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(STEPS[step], unit="rows")
            progress.update(tasks[step], completed=rows, total=total)

        converted = lsm.convert(source, destination, engine=engine, source_engine=source_engine,
                                progress=None if progress.disable else tell)
    if not quiet:
        print(f"lsm convert: {converted}; {source} is as it was", file=sys.stderr)
