"""`lsm put`: one key set to one value."""
import sys
from typing import Annotated

import typer

from lsm.cli.arguments import DatabaseOrNew, EngineOrNew, Escaped, Key, Wait, given
from lsm.cli.opening import check_fits, open_to_write
from lsm.cli.watch import Watch
from lsm.contract.arguments import VALUE_BYTES_MAX


def put(
    path: DatabaseOrNew,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The value; - is stdin, all of its bytes.")],
    escaped: Escaped = False,
    engine: EngineOrNew = None,
    wait: Wait = 0.0,
) -> None:
    """Set a key to a value. When it is done it survives the loss of power."""
    name, content = given(key, escaped), _from_stdin() if value == "-" else given(value, escaped)
    with Watch("put"):
        check_fits(path, engine, name, content)
        with open_to_write(path, engine, create=True, wait=wait) as db:
            db.put(name, content, sync=True)


def _from_stdin() -> bytes:
    if sys.stdin is None:
        raise typer.BadParameter("the value is -, and stdin is closed")
    return sys.stdin.buffer.read(VALUE_BYTES_MAX + 1)
