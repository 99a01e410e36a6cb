"""The commands and their arguments. What a command does is in a file or folder of its own, imported when it is used."""
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="lsm: an embedded, ordered, durable key-value store.",
)


def installed_version() -> str:
    try:
        return version("lsmkv")
    except PackageNotFoundError:
        return "unknown (running from a source tree that is not installed)"


def show_version(asked: bool) -> None:
    if asked:
        print(f"lsm {installed_version()}")
        raise typer.Exit()


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def tour(
    path: Annotated[
        Optional[Path],
        typer.Option(help="Keep the tour's databases in this new or empty directory.", show_default="temporary"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small part of the data: a few seconds.")] = False,
) -> None:
    """Load the source of Python's standard library, look around, crash, recover, and show the tree."""
    from lsm.cli.tour.itinerary import take

    sys.exit(take(path, quick))
