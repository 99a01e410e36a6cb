"""`lsm load`: entries from a file or stdin into a database."""
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO, Optional

import typer

import lsm.dump
from lsm.cli.arguments import EngineOrNew, Format, Quiet
from lsm.dump import Loaded


def load(
    path: Annotated[Path, typer.Argument(help="The directory of a database; it is made when there is none.")],
    file: Annotated[str, typer.Argument(help="What `lsm dump` wrote, or lines written by hand; - is stdin.")],
    format: Annotated[
        Optional[Format], typer.Option("--format", "-f", help="How entries are written.", show_default="told from the file")
    ] = None,
    engine: EngineOrNew = None,
    quiet: Quiet = False,
) -> None:
    """Write every entry of a dump into a database; a deletion in it deletes."""
    from lsm.cli.bar import bar

    with _opened(file) as source:
        entries = lsm.dump.read(source, format and format.value)
        first = list(_next(entries))                    # before a database is made for what is no dump
        with lsm.open(path, engine=engine or lsm.engine_at(path) or "lsm") as db:
            so_far = Loaded()

            def tell(loaded: Loaded) -> None:
                nonlocal so_far
                so_far = loaded
                progress.update(task, completed=source.tell() if total is not None else loaded.bytes)

            total = _size(source)
            try:
                with bar() as progress:
                    task = progress.add_task("loading", total=total, unit="bytes")
                    lsm.dump.load(db, chain(first, entries), tell)
            finally:
                if not quiet or sys.exc_info()[0] is not None:
                    print(f"lsm load: {so_far} loaded into {path}", file=sys.stderr)


def _next(entries: Iterator[tuple[bytes, bytes | None]]) -> Iterator[tuple[bytes, bytes | None]]:
    for entry in entries:
        yield entry
        return


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
