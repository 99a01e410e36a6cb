"""The commands and their arguments. What a command does is in a file or folder of its own, imported when it is used."""
import sys
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
def serve(
    path: Annotated[Path, typer.Argument(help="The directory of the database; made when there is none.")],
    engine: Annotated[str, typer.Option(help="The storage engine.")] = "lsm",
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
