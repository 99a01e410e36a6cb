"""Lines: those of a file, numbered, of bounded length, without their ends, blank ones left out."""
from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

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
