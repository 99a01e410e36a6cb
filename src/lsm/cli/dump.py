"""`lsm dump`: what is in a database, a table or a log, on stdout."""
from pathlib import Path
from typing import Annotated

import typer

import lsm.dump
from lsm.cli.arguments import Engine, Format
from lsm.cli.completion import complete_path
from lsm.cli.opening import check_kept
from lsm.cli.output import is_terminal, output
from lsm.cli.watch import Watch
from lsm.errors import OptionError


def dump(
    source: Annotated[Path, typer.Argument(help="The directory of a database, or one .table or .log file. Only read.",
                                           autocompletion=complete_path)],
    format: Annotated[Format, typer.Option("--format", "-f", help="How entries are written.")] = Format.text,
    versions: Annotated[
        bool, typer.Option("--versions", help="Every version in the file, with its sequence number: for reading only.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
    engine: Engine = None,
) -> None:
    """Print what is in a database, a table or a log; a deletion in a file as key→†."""
    if json:
        format = Format.jsonl
    if format == "binary" and versions:
        raise OptionError("versions", True, "it with text or jsonl: a binary dump is for loading, versions are for reading")
    if format == "binary" and is_terminal():
        raise OptionError("format", format.value, "another one, or redirect the output: this is a terminal")
    check_kept(engine)
    with Watch("dump"):
        lsm.dump.write(lsm.dump.entries(source, engine=engine, versions=versions), output(), format.value)
