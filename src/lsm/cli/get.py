"""`lsm get`: the value of one key."""
from typing import Annotated

import typer

from lsm.cli.arguments import Database, Engine, Escaped, Json, Key, given
from lsm.cli.opening import open_to_read
from lsm.cli.outcome import Failed
from lsm.cli.output import is_terminal, output, print_json, print_line, shown
from lsm.cli.watch import Watch


def get(
    path: Database,
    key: Key,
    raw: Annotated[bool, typer.Option("--raw", help="Print the bytes of the value and nothing else, no end of line.")] = False,
    escaped: Escaped = False,
    json: Json = False,
    engine: Engine = None,
) -> None:
    """Print the value of a key, and an end of line. Status 1 when there is no such key."""
    if raw + escaped + json > 1:
        raise typer.BadParameter("of --raw, --escaped and --json give one")
    wanted = given(key, escaped)
    with Watch("get"), open_to_read(path, engine) as db:
        value = db.get(wanted)
    if json:
        print_json(key=wanted, value=value)
    if value is None:
        raise Failed(f"{path}: there is no key {shown(wanted)}")
    if raw:
        output().write(value)
    elif escaped or is_terminal() and not _harmless(value):
        print_line(shown(value))
    elif not json:
        output().write(value + b"\n")


def _harmless(value: bytes) -> bool:
    """May a terminal be sent this as it is?"""
    try:
        return all(line.replace("\t", "").isprintable() for line in value.decode().split("\n"))
    except UnicodeDecodeError:
        return False
