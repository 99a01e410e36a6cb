"""The commands and their arguments. What a command does is in a file or folder of its own, imported when it is used."""
import sys
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="lsm: an embedded, ordered, durable key-value store.",
)


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all went well.")]


class Format(str, Enum):
    """Of dumps."""

    text = "text"
    jsonl = "jsonl"
    binary = "binary"


def installed_version() -> str:
    try:
        return version("lsmkv")
    except PackageNotFoundError:
        return "unknown (running from a source tree that is not installed)"


def show_version(asked: bool) -> None:
    if asked:
        print(f"lsm {installed_version()}")
        raise typer.Exit()


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def tour(
    path: Annotated[
        Optional[Path],
        typer.Option(help="Keep the tour's databases in this new or empty directory.", show_default="temporary"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small part of the data: a few seconds.")] = False,
) -> None:
    """Load the source of Python's standard library, look around, crash, recover, and show the tree."""
    from lsm.cli.tour.itinerary import take

    sys.exit(take(path, quick))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="The directory of a database of any engine. It is only read.")],
    destination: Annotated[Path, typer.Argument(help="A new or an empty directory.")],
    engine: Annotated[str, typer.Option(help="The engine of the copy: lsm, hashlog, btree, pylsm, ...")],
    source_engine: Annotated[
        Optional[str], typer.Option(help="The engine of the source.", show_default="told from its files")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Copy a database into another engine, then read both and compare every row. When that fails there is no copy."""
    from lsm.cli.convert import convert as work
    from lsm.cli.outcome import outcome_of

    sys.exit(outcome_of("convert", lambda: work(source, destination, engine, source_engine, quiet)))


@app.command()
def salvage(
    source: Annotated[Path, typer.Argument(help="The directory of a damaged database (lsm, pylsm, hashlog). It is only read.")],
    destination: Annotated[Path, typer.Argument(help="A new or an empty directory.")],
    engine: Annotated[Optional[str], typer.Option(help="The engine of the new database.", show_default="that of the source")] = None,
    only_certain: Annotated[bool, typer.Option("--only-certain", help="Leave out rows that may be stale.")] = False,
    quiet: Quiet = False,
) -> None:
    """Rescue what is still provably right of a damaged database into a new one, and say what was lost."""
    from lsm.cli.outcome import outcome_of
    from lsm.cli.salvage import salvage as work

    sys.exit(outcome_of("salvage", lambda: work(source, destination, engine, only_certain, quiet)))


@app.command()
def dump(
    source: Annotated[Path, typer.Argument(help="The directory of a database, or one .table or .log file. Only read.")],
    format: Annotated[Format, typer.Option("--format", "-f", help="How entries are written.")] = Format.text,
    versions: Annotated[
        bool, typer.Option("--versions", help="Every version in the file, with its sequence number: for reading only.")
    ] = False,
    engine: Annotated[
        Optional[str], typer.Option(help="The engine of the database.", show_default="told from its files")
    ] = None,
) -> None:
    """Print what is in a database, a table or a log; a deletion in a file as key→†."""
    from lsm.cli.dump import dump as work
    from lsm.cli.outcome import outcome_of

    sys.exit(outcome_of("dump", lambda: work(source, format.value, versions, engine)))


@app.command()
def load(
    path: Annotated[Path, typer.Argument(help="The directory of a database; it is made when there is none.")],
    file: Annotated[str, typer.Argument(help="What `lsm dump` wrote, or lines written by hand; - is stdin.")],
    format: Annotated[
        Optional[Format], typer.Option("--format", "-f", help="How entries are written.", show_default="told from the file")
    ] = None,
    engine: Annotated[
        Optional[str], typer.Option(help="The engine of the database.", show_default="told from its files; of a new one lsm")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write every entry of a dump into a database; a deletion in it deletes."""
    from lsm.cli.load import load as work
    from lsm.cli.outcome import outcome_of

    sys.exit(outcome_of("load", lambda: work(path, file, format and format.value, engine, quiet)))


@app.command()
def serve(
    path: Annotated[Path, typer.Argument(help="The directory of the database; made when there is none.")],
    engine: Annotated[
        Optional[str], typer.Option(help="The engine of the database.", show_default="told from its files; of a new one lsm")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on. One that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any that is free.")] = 8080,
    token_file: Annotated[
        Optional[Path], typer.Option(help="Lines of `read TOKEN` or `write TOKEN`; mode 0600. Or set LSM_TOKEN, LSM_READ_TOKEN.")
    ] = None,
    host_name: Annotated[Optional[list[str]], typer.Option(help="A name it is known by, when there is no token.")] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Every write survives the loss of power before it is answered.")] = False,
    checkpoints: Annotated[Optional[Path], typer.Option(help="A directory in which clients may have checkpoints made.")] = None,
    certificate: Annotated[Optional[Path], typer.Option(help="TLS: the certificate.")] = None,
    certificate_key: Annotated[Optional[Path], typer.Option(help="TLS: its key.")] = None,
    key_bytes: Annotated[Optional[int], typer.Option(help="The longest key.", show_default="1024")] = None,
    value_bytes: Annotated[Optional[int], typer.Option(help="The longest value.", show_default="1048576")] = None,
    connections: Annotated[Optional[int], typer.Option(help="At once.", show_default="1024")] = None,
    connections_per_peer: Annotated[Optional[int], typer.Option(help="At once, of one address.", show_default="64")] = None,
) -> None:
    """Serve a database over HTTP until SIGTERM or Ctrl-C (docs/http.md)."""
    from lsm.cli.serve import serve as serving

    limits = {} if value_bytes is None else {"value_bytes": value_bytes, "body_bytes": max(2 * value_bytes, 2 << 20)}
    if key_bytes is not None:
        limits.update(key_bytes=key_bytes, request_line_bytes=max(4 * key_bytes + 1024, 8192))
    sys.exit(serving(path, engine, token_file, host=host, port=port, host_names=tuple(host_name or ()), sync=sync,
                     checkpoints=checkpoints, certificate=certificate, certificate_key=certificate_key, connections=connections,
                     connections_per_peer=connections_per_peer, **limits))
