"""CSV: rows of other programs, as RFC 4180 has them: fields between commas, in quotes where need be, a header first.

    country,capital                     kenya → Nairobi
    kenya,Nairobi
    rwanda,"Kigali"

The key is the first column, or the one that is named; the value the other one of two. Of more than two, when none is named,
it is a JSON object of all but the key. What stands in a field is taken as it is, in UTF-8; nothing is escaped, and nothing
deletes. To be read only: bytes that are no text have no place here. Memory: one row.
"""
from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import BinaryIO

from lsm.contract.arguments import VALUE_BYTES_MAX
from lsm.dump.lines import whole_lines
from lsm.errors import FormatError

Row = list[str]


def read(file: BinaryIO, name: str, *, key: str | None = None, value: str | None = None, delimiter: str | None = None,
         header: bool = True) -> Iterator[tuple[bytes, bytes | None]]:
    """The entries of the rows. `key` and `value` are names of columns, or their numbers from 1; the delimiter is a comma, in a
    file called `.tsv` a tab. Raises FormatError, which names file and line."""
    csv.field_size_limit(max(csv.field_size_limit(), VALUE_BYTES_MAX))
    rows = csv.reader(_lines(file, name), delimiter=delimiter or ("\t" if name.endswith(".tsv") else ","), strict=True)
    entry, width = None, 0
    try:
        for row in rows:
            if not row:
                continue                            # a blank line
            if entry is None:
                entry, width = _entry_of(row, key, value, header), len(row)
                if header:
                    continue
            if len(row) != width:
                raise ValueError(f"{len(row)} fields, and {width} in the first row")
            yield entry(row)
    except (csv.Error, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(name, f"line {rows.line_num}", str(error)) from None


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    """With their ends, which may stand in a field."""
    for number, line in whole_lines(file, name):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise FormatError(name, f"line {number}", f"byte {error.start} is not UTF-8") from None


def _entry_of(first: Row, key: str | None, value: str | None, header: bool) -> Callable[[Row], tuple[bytes, bytes]]:
    """What makes an entry of a row, by the columns of the first one. Raises ValueError."""
    names = first if header else []
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise ValueError(f"two columns are called {twice!r}")
    of_key = 0 if key is None else _column(key, names, len(first))
    if value is not None:
        of_value = _column(value, names, len(first))
    elif len(first) == 2:
        of_value = 1 - of_key
    elif header and len(first) > 2:
        return lambda row: (row[of_key].encode(), _object(names, row, of_key))
    else:
        raise ValueError(f"which of the {len(first)} columns is the value?" if len(first) > 1 else "there is only one column")
    return lambda row: (row[of_key].encode(), row[of_value].encode())


def _column(wanted: str, names: Row, width: int) -> int:
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    raise ValueError(f"there is no column {wanted!r}" + (f": there are {', '.join(names)}" if names else f" of {width}"))


def _object(names: Row, row: Row, of_key: int) -> bytes:
    return json.dumps({name: field for at, (name, field) in enumerate(zip(names, row)) if at != of_key},
                      ensure_ascii=False).encode()
