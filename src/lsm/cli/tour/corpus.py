"""The data: every line of every source file of Python's standard library, found on each machine that has Python.

A record is one line: its key names file and line (`asyncio/events.py:000123`, counted from 1), its value is the line
with its ending, so that the values of one file in key order are the file itself. Line numbers have six digits, and so
sort as numbers.
"""
import random
import sysconfig
from dataclasses import dataclass
from pathlib import Path

QUICK_LINES = 40_000
FOREIGN = {"site-packages", "dist-packages", "__pycache__"}     # inside the library's directory, but not of it


@dataclass(frozen=True)
class Source:
    """One file: its name within the library, and where it is."""

    name: str
    path: Path

    def records(self) -> list[tuple[bytes, bytes]]:
        lines = self.path.read_bytes().splitlines(keepends=True)
        prefix = self.name.encode("utf-8", "surrogateescape")
        return [(b"%s:%06d" % (prefix, number), line) for number, line in enumerate(lines, 1)]

    @property
    def prefix(self) -> bytes:
        """What the keys of this file, and of no other, begin with."""
        return self.name.encode("utf-8", "surrogateescape") + b":"


def readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def standard_library(quick: bool, randomness: random.Random) -> list[Source]:
    """The files in a random order, as writes arrive in life; with `quick` only the first 40,000 lines of them."""
    root = Path(sysconfig.get_path("stdlib"))
    found = [
        Source(path.relative_to(root).as_posix(), path)
        for path in sorted(root.rglob("*.py"))
        if FOREIGN.isdisjoint(path.relative_to(root).parts) and readable(path)
    ]
    if quick:
        found = beginning(found, QUICK_LINES)
    randomness.shuffle(found)
    return found


def beginning(sources: list[Source], lines: int) -> list[Source]:
    """The first sources that hold so many lines together."""
    chosen = []
    for source in sources:
        if lines <= 0:
            break
        chosen.append(source)
        lines -= source.path.read_bytes().count(b"\n")
    return chosen
