"""Files: the names of what lies in a database directory, and which of them are ours.

    CURRENT  CURRENT.tmp  MANIFEST-000007  000012.log  000013.table  LOCK

Names are made and read here and in manifest.py only; a name that does not come back the same is not ours, so that no
file of somebody else is ever opened, counted or removed. Pure functions.
"""
from __future__ import annotations

import re
from collections.abc import Iterable

from lsm.place import LOCK
from lsm.tree.manifest import CURRENT, CURRENT_NEW, manifest_number

NUMBERED = re.compile(r"([0-9]{6,20})\.(log|table)")


def table_name(number: int) -> str:
    return f"{number:06d}.table"


def log_name(number: int) -> str:
    return f"{number:06d}.log"


def numbered(name: str) -> tuple[int, str] | None:
    """(number, "log" or "table") of such a file's name, None for any other."""
    match = NUMBERED.fullmatch(name)
    if match is None or f"{int(match[1]):06d}.{match[2]}" != name:
        return None
    return int(match[1]), match[2]


def is_ours(name: str) -> bool:
    return (name in (CURRENT, CURRENT_NEW, LOCK) or numbered(name) is not None or manifest_number(name) is not None)


def foreign(names: Iterable[str]) -> list[str]:
    """The names in a directory that no database has."""
    return [name for name in names if not is_ours(name)]


def highest_number(names: Iterable[str]) -> int:
    """The highest number in any name, 0 when there is none: new files are numbered above it."""
    found = [0]
    for name in names:
        file = numbered(name)
        number = file[0] if file else manifest_number(name)
        if number is not None:
            found.append(number)
    return max(found)
