"""`lsm serve`: arguments to settings, and a server run."""
from __future__ import annotations

import logging
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NEEDED = ("fastapi", "uvicorn", "httptools")


def serve(path: Path, engine: str, token_file: Path | None, **told: Any) -> int:
    """Answers the exit status: 0 after a stop, 2 for what cannot be served."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return _fail(f"the HTTP server needs {', '.join(missing)}: pip install 'lsmkv[server]'")
    import lsm
    from lsm.server import serve as serving
    from lsm.server.settings import Settings
    from lsm.server.tokens import Tokens

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))       # before the server listens; then it stops in its own way
    try:
        tokens = Tokens.from_environment(os.environ)
        if token_file is not None:
            tokens += Tokens.from_file(token_file)
        settings = Settings(tokens=tokens, **{name: value for name, value in told.items() if value is not None})
        if settings.checkpoints is not None and not settings.checkpoints.is_dir():
            return _fail(f"{settings.checkpoints}: there is no such directory for checkpoints")
        database = lsm.open(path, engine=engine)
    except (ValueError, OSError, lsm.Error) as error:
        return _fail(str(error))
    with database:
        started = serving.run(lambda: database, settings, lambda url: print(f"serving {path} ({engine}) at {url}", flush=True))
    return 0 if started else 1


def _fail(message: str) -> int:
    print(f"lsm: {message}", file=sys.stderr)
    return 2
