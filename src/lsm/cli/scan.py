"""`lsm scan`: the rows of a range, in the order of their keys."""
from typing import Annotated, Any, Optional

import typer

import lsm.dump as lsm_dump

from lsm.cli.arguments import Database, Engine, Escaped, Json, given
from lsm.cli.completion import complete_key
from lsm.cli.opening import open_to_read
from lsm.cli.output import output, print_json, print_line, shown
from lsm.cli.watch import Watch


def scan(
    path: Database,
    prefix: Annotated[Optional[str], typer.Option(help="Only keys that begin so.", autocompletion=complete_key)] = None,
    start: Annotated[Optional[str], typer.Option(help="Only keys from this one on.", autocompletion=complete_key)] = None,
    stop: Annotated[Optional[str], typer.Option(help="Only keys before this one.", autocompletion=complete_key)] = None,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The last key first.")] = False,
    limit: Annotated[Optional[int], typer.Option("--limit", "-n", min=0, help="So many rows at most.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Print keys alone.")] = False,
    values: Annotated[bool, typer.Option("--values", help="Print values alone.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Print how many rows there are, not the rows.")] = False,
    escaped: Escaped = False,
    json: Json = False,
    engine: Engine = None,
) -> None:
    """Print the rows of a range as key→value, one a line. What is printed can be loaded, and typed with --escaped."""
    if keys + values + count > 1:
        raise typer.BadParameter("of --keys, --values and --count give one")
    bounds = {name: given(bound, escaped) for name, bound in (("prefix", prefix), ("start", start), ("stop", stop))
              if bound is not None}
    with Watch("scan"), open_to_read(path, engine) as db:
        rows = db.scan(**bounds, reverse=reverse, limit=limit, keys=not values, values=not (keys or count))
        if count:
            number = sum(1 for _ in rows)
            print_json(count=number) if json else print_line(f"{number}")
        elif keys or values:
            _print_parts(rows, "key" if keys else "value", json)
        else:
            lsm_dump.write(rows, output(), "jsonl" if json else "text")


def _print_parts(parts: Any, name: str, json: bool) -> None:
    for part in parts:
        print_json(**{name: part}) if json else print_line(shown(part))
