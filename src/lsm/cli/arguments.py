"""Arguments that several commands share, as Typer reads them."""
from enum import Enum
from typing import Annotated, Optional

import typer


class Format(str, Enum):
    """Of dumps."""

    text = "text"
    jsonl = "jsonl"
    binary = "binary"


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all went well.")]
Engine = Annotated[Optional[str], typer.Option(help="The engine of the database.", show_default="told from its files")]
EngineOrNew = Annotated[
    Optional[str], typer.Option("--engine", help="The engine of the database.", show_default="told from its files; of a new one lsm")
]
