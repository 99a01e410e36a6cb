"""Formats: by their names, and told from how a file begins."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from lsm.dump import binary, jsonl, text
from lsm.dump.lines import BYTE_ORDER_MARK, read_lines, write_lines
from lsm.errors import FormatError, OptionError

LOOKED_AT = 4096


class Format(NamedTuple):
    write: Callable[[Iterable[Any], BinaryIO], int]
    read: Callable[[BinaryIO, str], Iterator[tuple[bytes, bytes | None]]]


def _of_lines(encode: Callable[..., bytes], decode: Callable[[bytes], tuple[bytes, bytes | None]]) -> Format:
    return Format(lambda entries, file: write_lines(entries, file, encode),
                  lambda file, name: read_lines(file, name, decode))


FORMATS = {"text": _of_lines(text.encode, text.decode), "jsonl": _of_lines(jsonl.encode, jsonl.decode),
           "binary": Format(binary.write, binary.read)}


def write(entries: Iterable[Any], file: BinaryIO, format: str = "text") -> int:
    """Write every entry, (key, value) or (key, None), in the format; answers how many. Text and JSON lines also take
    (key, value, sequence number). What `entries` raises passes through, with all before it written."""
    return _format(format).write(entries, file)


def read(file: BinaryIO, format: str | None = None) -> Iterator[tuple[bytes, bytes | None]]:
    """The entries of a file that was opened for reading bytes, in their order. The format is told from its beginning when it
    is not given; the file must be buffered, or able to seek, for that. Raises FormatError, VersionError."""
    name = _name(file)
    return _format(format or _told(file, name)).read(file, name)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise OptionError("format", name, " or ".join(map(repr, FORMATS)))
    return FORMATS[name]


def _name(file: BinaryIO) -> str:
    name = getattr(file, "name", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else "the input"


def _told(file: BinaryIO, name: str) -> str:
    """A binary dump begins with its magic, a JSON line with a brace, which no line of a text dump does."""
    if hasattr(file, "peek"):
        head = file.peek(LOOKED_AT)
    else:
        head = file.read(LOOKED_AT)
        file.seek(-len(head), os.SEEK_CUR)
    if head.startswith(binary.MAGIC[:1]):
        return "binary"
    if head.startswith(b"lsm.log\n"):
        raise FormatError(name, "byte 0", "this is a log of a database: `lsm dump` makes of it what can be loaded")
    return "jsonl" if head.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{") else "text"
