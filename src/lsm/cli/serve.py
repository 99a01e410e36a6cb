"""`lsm serve`: arguments to settings, and a server run until it is told to stop.

Ends with 0 after a stop, 1 when the database cannot be opened or the address is taken, 2 for what cannot be served so.
"""
import logging
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from lsm.cli.arguments import EngineOrNew, Json
from lsm.cli.completion import complete_directory, complete_path
from lsm.cli.outcome import DONE, FAILED, USAGE
from lsm.cli.output import json_line

NEEDED = ("fastapi", "uvicorn", "httptools")


def serve(
    path: Annotated[Path, typer.Argument(metavar="DB", help="The directory of the database; made when there is none.",
                                         autocompletion=complete_directory)],
    engine: EngineOrNew = None,
    host: Annotated[str, typer.Option(help="The address to listen on. One that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 8080,
    token_file: Annotated[
        Optional[Path], typer.Option(help="Lines of `read TOKEN` or `write TOKEN`; mode 0600. Or set LSM_TOKEN, LSM_READ_TOKEN.",
                                       autocompletion=complete_path)
    ] = None,
    host_name: Annotated[Optional[list[str]], typer.Option(help="A name it is known by, when there is no token.")] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Every write survives the loss of power before it is answered.")] = False,
    checkpoints: Annotated[Optional[Path], typer.Option(help="A directory in which clients may have checkpoints made.",
                                                           autocompletion=complete_directory)] = None,
    certificate: Annotated[Optional[Path], typer.Option(help="TLS: the certificate.", autocompletion=complete_path)] = None,
    certificate_key: Annotated[Optional[Path], typer.Option(help="TLS: its key.", autocompletion=complete_path)] = None,
    key_bytes: Annotated[Optional[int], typer.Option(help="The longest key.", show_default="1024")] = None,
    value_bytes: Annotated[Optional[int], typer.Option(help="The longest value.", show_default="1048576")] = None,
    connections: Annotated[Optional[int], typer.Option(help="At once.", show_default="1024")] = None,
    connections_per_peer: Annotated[Optional[int], typer.Option(help="At once, of one address.", show_default="64")] = None,
    json: Json = False,
) -> int:
    """Serve a database over HTTP until SIGTERM or Ctrl-C (docs/http.md)."""
    limits = {} if value_bytes is None else {"value_bytes": value_bytes, "body_bytes": max(2 * value_bytes, 2 << 20),
                                               "in_flight_bytes": max(8 * value_bytes, 64 << 20),
                                               "in_flight_bytes_per_peer": max(4 * value_bytes, 32 << 20)}
    if key_bytes is not None:
        limits.update(key_bytes=key_bytes, request_line_bytes=max(4 * key_bytes + 1024, 8192))
    return _serve(path, engine, token_file, json, host=host, port=port, host_names=tuple(host_name or ()), sync=sync,
                  checkpoints=checkpoints, certificate=certificate, certificate_key=certificate_key, connections=connections,
                  connections_per_peer=connections_per_peer, **limits)


def _serve(path: Path, engine: str | None, token_file: Path | None, json: bool, **told: Any) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return _fail(USAGE, f"the HTTP server needs {', '.join(missing)}: pip install 'lsmkv[server]'")
    import lsm
    from lsm.server import serve as serving
    from lsm.server.app import application
    from lsm.server.settings import Settings
    from lsm.server.tokens import Tokens

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(DONE))        # until the server listens; it stops in its own way
    try:
        tokens = Tokens.from_environment(os.environ)
        if token_file is not None:
            tokens += Tokens.from_file(token_file)
        settings = Settings(tokens=tokens, **{name: value for name, value in told.items() if value is not None})
    except (ValueError, OSError) as error:
        return _fail(USAGE, str(error))
    if settings.checkpoints is not None and not settings.checkpoints.is_dir():
        return _fail(USAGE, f"{settings.checkpoints}: there is no such directory for checkpoints")
    engine = engine or lsm.engine_at(path) or "lsm"
    try:
        database = lsm.open(path, engine=engine)
    except (lsm.Error, OSError) as error:
        return _fail(USAGE if isinstance(error, (lsm.OptionError, lsm.OptionNameError)) else FAILED, str(error))

    def told_where(url: str) -> None:
        print(json_line(path=str(path), engine=engine, url=url) if json else f"serving {path} ({engine}) at {url}", flush=True)

    with database:
        started = serving.run(application(lambda: database, settings), told_where)
    return DONE if started else FAILED


def _fail(status: int, message: str) -> int:
    print(f"lsm serve: {message}", file=sys.stderr)
    return status
