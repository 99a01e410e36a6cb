"""Lines: files of one entry a line, written and read by a format that knows how a line is spelt.

They are numbered for what errors say, of bounded length, taken without their ends; blank ones are left out.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from lsm.contract.arguments import KEY_BYTES_MAX, VALUE_BYTES_MAX
from lsm.errors import FormatError

LINE_BYTES_MAX = 6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 1024       # a byte takes six at most: \u0000 in JSON
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def numbered_lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line). A line ends at \\n or \\r\\n; a byte order mark at the head of the file is left out."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(name, f"line {number}", "it is longer than any key and value together")
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line.strip():
            yield number, line


def write_lines(entries: Iterable[Any], file: BinaryIO, encode: Callable[..., bytes]) -> int:
    """A line for each entry, (key, value) or (key, value, sequence number); answers how many."""
    count = 0
    for entry in entries:
        file.write(encode(*entry))
        count += 1
    return count


def read_lines(file: BinaryIO, name: str, decode: Callable[[bytes], Any]) -> Iterator[Any]:
    """The entries of the lines. Where `decode` raises ValueError it raises FormatError, which names file and line."""
    for number, line in numbered_lines(file, name):
        try:
            yield decode(line)
        except ValueError as error:
            raise FormatError(name, f"line {number}", str(error)) from None
