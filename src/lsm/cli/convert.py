"""`lsm convert`: a database copied into another engine, and compared."""
import sys
from pathlib import Path

import lsm
from lsm.cli.bar import bar

STEPS = {"count": "counting", "copy": "copying", "verify": "comparing"}


def convert(source: Path, destination: Path, engine: str, source_engine: str | None, quiet: bool) -> None:
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
