"""Output: what a command prints: bytes on stdout, in UTF-8 whatever the terminal says.

Keys and values are shown in the text of dumps (`shown`), or as JSON: bytes that are UTF-8 as a string, others as base64 under
a name with `_base64` behind it, as in JSON lines (docs/format-dump.md).
"""
from __future__ import annotations

import errno
import json
import sys
from base64 import b64encode
from dataclasses import fields, is_dataclass
from typing import Any, BinaryIO

from lsm.dump import text

shown = text.escape


def output() -> BinaryIO:
    """Stdout for bytes."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "the output is closed", "stdout")
    return sys.stdout.buffer


def is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def print_line(line: str) -> None:
    output().write(line.encode("utf-8", "surrogateescape") + b"\n")


def print_json(**members: Any) -> None:
    """One object, on one line."""
    print_line(json_line(**members))


def json_line(**members: Any) -> str:
    """One object as JSON."""
    return json.dumps(as_json(members), ensure_ascii=False)


def as_json(thing: Any) -> Any:
    """What JSON can say of it: a dataclass by its fields and properties, an error by its attributes."""
    if isinstance(thing, BaseException):
        return as_json(vars(thing))
    if is_dataclass(thing) and not isinstance(thing, type):
        return as_json({name: getattr(thing, name) for name in _names(thing)})
    if isinstance(thing, dict):
        return dict(_member(name, value) for name, value in thing.items())
    if isinstance(thing, (list, tuple)):
        return [as_json(one) for one in thing]
    if isinstance(thing, bytes):
        (name, said), = dict([_member("", thing)]).items()
        return {"base64": said} if name else said
    return thing if thing is None or isinstance(thing, (bool, int, float, str)) else str(thing)


def _names(thing: Any) -> list[str]:
    """Of its fields, then of what follows from them."""
    return [one.name for one in fields(thing)] + [name for name, member in vars(type(thing)).items() if isinstance(member, property)]


def _member(name: str, value: Any) -> tuple[str, Any]:
    if not isinstance(value, bytes):
        return name, as_json(value)
    try:
        return name, value.decode()
    except UnicodeDecodeError:
        return f"{name}_base64", b64encode(value).decode()
