"""The commands and their arguments. What a command does is in a file or folder of its own, imported when it is used."""
import sys
from enum import Enum
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


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all went well.")]


class Format(str, Enum):
    """Of dumps."""

    text = "text"
    jsonl = "jsonl"
    binary = "binary"


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


@app.command()
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
    from lsm.cli.convert import convert as work
    from lsm.cli.outcome import outcome_of

    sys.exit(outcome_of("convert", lambda: work(source, destination, engine, source_engine, quiet)))


@app.command()
def dump(
    source: Annotated[Path, typer.Argument(help="The directory of a database, or one .table or .log file. Only read.")],
    format: Annotated[Format, typer.Option("--format", "-f", help="How entries are written.")] = Format.text,
    versions: Annotated[
        bool, typer.Option("--versions", help="Every version in the file, with its sequence number: for reading only.")
    ] = False,
    engine: Annotated[
        Optional[str], typer.Option(help="The engine of the database.", show_default="told from its files")
    ] = None,
) -> None:
    """Print what is in a database, a table or a log; a deletion in a file as key→†."""
    from lsm.cli.dump import dump as work
    from lsm.cli.outcome import outcome_of

    sys.exit(outcome_of("dump", lambda: work(source, format.value, versions, engine)))


@app.command()
def load(
    path: Annotated[Path, typer.Argument(help="The directory of a database; it is made when there is none.")],
    file: Annotated[str, typer.Argument(help="What `lsm dump` wrote, or lines written by hand; - is stdin.")],
    format: Annotated[
        Optional[Format], typer.Option("--format", "-f", help="How entries are written.", show_default="told from the file")
    ] = None,
    engine: Annotated[
        Optional[str], typer.Option(help="The engine of the database.", show_default="told from its files; of a new one lsm")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write every entry of a dump into a database; a deletion in it deletes."""
    from lsm.cli.load import load as work
    from lsm.cli.outcome import outcome_of

    sys.exit(outcome_of("load", lambda: work(path, file, format and format.value, engine, quiet)))
