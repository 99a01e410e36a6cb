"""`lsm serve`: arguments to settings, and a server run until it is told to stop.

Ends with 0 after a stop, 1 when the database cannot be opened or the address is taken, 2 for what cannot be served so.
"""
from __future__ import annotations

import logging
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lsm.cli.outcome import DONE, FAILED, USAGE

NEEDED = ("fastapi", "uvicorn", "httptools")


def serve(path: Path, engine: str | None, token_file: Path | None, **told: Any) -> int:
    """Answers the exit status. `engine`: None for that of the database, or lsm for a new one."""
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
    with database:
        started = serving.run(application(lambda: database, settings),
                              lambda url: print(f"serving {path} ({engine}) at {url}", flush=True))
    return DONE if started else FAILED


def _fail(status: int, message: str) -> int:
    print(f"lsm serve: {message}", file=sys.stderr)
    return status
