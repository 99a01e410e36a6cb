"""The command line. A door: it uses the public contract of `lsm`, and nothing imports it.

Typer and Rich are an extra; without them `lsm` says which one to install and ends with status 2. Nothing in this file
may import them at the top.
"""
import sys
from importlib.util import find_spec

NEEDED = ("typer", "rich")


def main() -> int:
    """Entry point of the `lsm` program; answers its status."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"lsm: the command line needs {' and '.join(missing)}: pip install 'lsmkv[cli]'"
            " (from a clone: pip install '.[cli]')",
            file=sys.stderr,
        )
        return 2
    try:
        from lsm.cli.app import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:                   # while it was still importing
        print("lsm: interrupted", file=sys.stderr)
        return 130
