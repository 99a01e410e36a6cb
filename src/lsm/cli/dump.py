"""`lsm dump`: what is in a database, a table or a log, on stdout."""
import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

import lsm.dump
from lsm.cli.arguments import Engine, Format
from lsm.errors import OptionError


def dump(
    source: Annotated[Path, typer.Argument(help="The directory of a database, or one .table or .log file. Only read.")],
    format: Annotated[Format, typer.Option("--format", "-f", help="How entries are written.")] = Format.text,
    versions: Annotated[
        bool, typer.Option("--versions", help="Every version in the file, with its sequence number: for reading only.")
    ] = False,
    engine: Engine = None,
) -> None:
    """Print what is in a database, a table or a log; a deletion in a file as key→†."""
    if format == "binary" and versions:
        raise OptionError("versions", True, "it with text or jsonl: a binary dump is for loading, versions are for reading")
    if sys.stdout is None:
        raise OSError(errno.EBADF, "the output is closed", "stdout")
    if format == "binary" and sys.stdout.isatty():
        raise OptionError("format", format.value, "another one, or redirect the output: this is a terminal")
    lsm.dump.write(lsm.dump.entries(source, engine=engine, versions=versions), sys.stdout.buffer, format.value)
