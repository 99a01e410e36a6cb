"""Arguments that several commands share, as Typer reads them, and what keys and values mean as they are typed.

What is typed is taken as it is: its bytes, which are UTF-8 for text. With `--escaped` it is read as `scan` and `dump` print:
text in which a backslash escapes, by which any bytes can be said.
"""
import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from lsm.cli.completion import complete_directory, complete_engine, complete_key
from lsm.dump import text


class Format(str, Enum):
    """Of dumps."""

    text = "text"
    jsonl = "jsonl"
    binary = "binary"


class LoadFormat(str, Enum):
    """Of what can be loaded."""

    text = "text"
    jsonl = "jsonl"
    binary = "binary"
    csv = "csv"


Database = Annotated[Path, typer.Argument(metavar="DB", help="The directory of a database.", autocompletion=complete_directory)]
DatabaseOrNew = Annotated[
    Path,
    typer.Argument(metavar="DB", help="The directory of a database; it is made when there is none.", autocompletion=complete_directory)
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.", autocompletion=complete_key)]
Engine = Annotated[
    Optional[str],
    typer.Option(metavar="NAME", help="The engine of the database.", show_default="told from its files",
                 autocompletion=complete_engine)
]
EngineOrNew = Annotated[
    Optional[str],
    typer.Option("--engine", metavar="NAME", help="The engine of the database.", show_default="told from its files; of a new one lsm",
                 autocompletion=complete_engine)
]
Escaped = Annotated[
    bool, typer.Option("--escaped", "-e", help=r"Read keys and values as `scan` prints them: \n is an end of line, \xff a byte.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all went well.")]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0.0, help="Wait so long for another process to close the database.")
]


def given(argument: str, escaped: bool) -> bytes:
    """The bytes of a key or value that was typed."""
    typed = os.fsencode(argument)
    if not escaped:
        return typed
    try:
        return text.unescape(typed)
    except ValueError as error:
        raise typer.BadParameter(f"{argument!r}: {error}") from None
