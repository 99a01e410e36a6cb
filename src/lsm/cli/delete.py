"""`lsm delete`: keys and their values removed."""
from typing import Annotated

import typer

from lsm.cli.arguments import Database, Engine, Escaped, Json, Wait, given
from lsm.cli.completion import complete_key
from lsm.cli.opening import open_to_write
from lsm.cli.outcome import Failed
from lsm.cli.output import print_json, shown
from lsm.cli.watch import Watch


def delete(
    path: Database,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="The keys.", autocompletion=complete_key)],
    escaped: Escaped = False,
    json: Json = False,
    engine: Engine = None,
    wait: Wait = 0.0,
) -> None:
    """Delete keys, all in one step. Status 1 when one of them was not there; the others are deleted all the same."""
    wanted = [given(key, escaped) for key in keys]
    with Watch("delete"), open_to_write(path, engine, create=False, wait=wait) as db:
        there = [key for key in wanted if key in db]
        db.write(((key, None) for key in there), sync=bool(there))
    missing = [key for key in wanted if key not in there]
    if json:
        print_json(path=str(path), deleted=len(set(there)), missing=missing)
    if missing:
        raise Failed(f"{path}: there is no key {', '.join(map(shown, missing))}")
