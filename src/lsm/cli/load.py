"""`lsm load`: entries from a file or stdin into a database."""
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Optional

import typer

import lsm.dump
from lsm.cli.arguments import DatabaseOrNew, EngineOrNew, Json, LoadFormat, Quiet, Wait
from lsm.cli.completion import complete_path
from lsm.cli.opening import check_fits, check_kept, open_to_write
from lsm.cli.outcome import say
from lsm.cli.output import print_json
from lsm.cli.watch import Watch
from lsm.dump import Loaded


def load(
    path: DatabaseOrNew,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `lsm dump` wrote, lines written by hand, or CSV; - is stdin.",
                                        autocompletion=complete_path)],
    format: Annotated[
        Optional[LoadFormat], typer.Option("--format", "-f", help="How entries are written.", show_default="told from the file")
    ] = None,
    key: Annotated[
        Optional[str], typer.Option(metavar="COLUMN", help="CSV: the column of the key.", show_default="the first")
    ] = None,
    value: Annotated[
        Optional[str], typer.Option(metavar="COLUMN", help="CSV: the column of the value.",
                                    show_default="the other; of more than two, all as a JSON object")
    ] = None,
    delimiter: Annotated[
        Optional[str], typer.Option(metavar="CHARACTER", help="CSV: what stands between fields; tab is one.", show_default=",")
    ] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="CSV: the first row is data; columns have numbers from 1.")] = False,
    engine: EngineOrNew = None,
    json: Json = False,
    quiet: Quiet = False,
    wait: Wait = 0.0,
) -> None:
    """Write every entry of a dump, of text, or of CSV into a database; a deletion in it deletes."""
    told = {"key": key, "value": value, "delimiter": _character(delimiter), "header": False if no_header else None}
    columns = {name: one for name, one in told.items() if one is not None}
    with Watch("load"), _opened(file) as source:
        entries = lsm.dump.read(source, format and format.value, **columns)
        first = list(islice(entries, 1))                # before a database is made for what is no dump,
        check_kept(engine)
        for entry in first:
            check_fits(path, engine, *entry)            # or for what it does not take
        with open_to_write(path, engine, create=True, wait=wait) as db:
            loaded = _loading(db, chain(first, entries), source, path, quiet or json)
    if json:
        print_json(path=str(path), puts=loaded.puts, deletes=loaded.deletes, bytes=loaded.bytes)


def _loading(db: Any, entries: Iterable[tuple[bytes, bytes | None]], source: BinaryIO, path: Path, quiet: bool) -> Loaded:
    """Load, show how far it is, and say what was loaded, also when it comes to no good end."""
    from lsm.cli.bar import bar

    so_far, total = Loaded(), _size(source)

    def tell(loaded: Loaded) -> None:
        nonlocal so_far
        so_far = loaded
        progress.update(task, completed=source.tell() if total is not None else loaded.bytes)

    try:
        with bar() as progress:
            task = progress.add_task("loading", total=total, unit="bytes")
            return lsm.dump.load(db, entries, tell)
    finally:
        if not quiet or sys.exc_info()[0] is not None:
            say("load", f"{so_far} loaded into {path}")


def _character(delimiter: str | None) -> str | None:
    if delimiter in ("tab", r"\t"):
        return "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in "\r\n\""):
        raise typer.BadParameter(f"--delimiter {delimiter}: give one character, or tab")
    return delimiter


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "the input is closed", "stdin")
        yield sys.stdin.buffer
    else:
        with open(file, "rb") as opened:
            yield opened


def _size(source: BinaryIO) -> int | None:
    """Of a regular file; of a pipe nobody knows."""
    status = os.fstat(source.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None
