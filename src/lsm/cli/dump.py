"""`lsm dump`: what is in a database, a table or a log, on stdout."""
import errno
import sys
from pathlib import Path

import lsm.dump
from lsm.errors import OptionError


def dump(source: Path, format: str, versions: bool, engine: str | None) -> None:
    if format == "binary" and versions:
        raise OptionError("versions", True, "it with text or jsonl: a binary dump is for loading, versions are for reading")
    if sys.stdout is None:
        raise OSError(errno.EBADF, "the output is closed", "stdout")
    if format == "binary" and sys.stdout.isatty():
        raise OptionError("format", format, "another one, or redirect the output: this is a terminal")
    lsm.dump.write(lsm.dump.entries(source, engine=engine, versions=versions), sys.stdout.buffer, format)
