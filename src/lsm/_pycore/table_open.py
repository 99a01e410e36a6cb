"""Opening a table: everything but its data blocks is read and checked here (docs/format-table.md).

From the end of the file to its front: the footer says where properties, index and filter lie; the properties, what the
table holds; the index has one separator a block, so that a key is looked up in one block; the filter spares most of
these. What is wrong is a CorruptionError with the file and the place. Pure functions of a file.
"""
from __future__ import annotations

from typing import Any

from lsm._pycore import bloom
from lsm._pycore.coding import Malformed, read_bytes, read_varint
from lsm._pycore.table_format import FOOTER_BYTES, STORED_MAX, TRAILER_BYTES, Footer, Handle, Properties, unseal
from lsm.contract.arguments import KEY_BYTES_MAX
from lsm.errors import CorruptionError, UnsupportedError, VersionError


def read_contents(file: Any, path: str, handle: Handle) -> bytes:
    """The contents of the block that lies there, its checksum checked."""
    try:
        return unseal(file.read(handle.offset, handle.size))
    except Malformed as error:
        raise CorruptionError(path, handle.offset, str(error)) from None
    except UnsupportedError as error:
        raise UnsupportedError(error.detail, path) from None


class Parts:
    """What is kept in memory of an open table."""

    def __init__(self, path: str, footer: Footer) -> None:
        self.path = path
        self.footer = footer
        self.properties = Properties()
        self.separators: list[bytes] = []       # one a block: its last key <= separator < first key of the next
        self.offsets = [0]                      # of each block in the file, and where the data ends
        self.lines, self.probes = b"", 0        # the filter

    def check_identity(self, number: int, database_id: bytes | None) -> None:
        """Is it the file that was expected? 0 and None: nothing is known of it."""
        where = self.footer.properties.offset
        if number and self.properties.number != number:
            raise CorruptionError(self.path, where, "another table's file: its number is not that of its name")
        if database_id is not None and self.properties.database_id != database_id:
            raise CorruptionError(self.path, where, "another database's file: its database id differs")


def load_parts(file: Any, path: str) -> Parts:
    footer = _load_footer(file, path)
    parts = Parts(path, footer)
    for handle, load in ((footer.properties, _load_properties), (footer.index, _load_index), (footer.filter, _load_filter)):
        contents = read_contents(file, path, handle)
        try:
            load(parts, contents)
        except Malformed as error:
            raise CorruptionError(path, handle.offset, str(error)) from None
    return parts


def damaged_parts(file: Any, path: str, noted: int) -> list[CorruptionError]:
    """Of a table that does not open, which is noted at that offset: every other part that is damaged, as far as its footer leads."""
    found = []
    try:
        footer = _load_footer(file, path)
    except CorruptionError:
        return []
    for handle in (footer.filter, footer.index, footer.properties):
        if handle.offset != noted:
            try:
                read_contents(file, path, handle)
            except CorruptionError as error:
                found.append(error)
    return found


def _load_footer(file: Any, path: str) -> Footer:
    if file.size < FOOTER_BYTES:
        raise CorruptionError(path, file.size, "file too short to be a table")
    where = file.size - FOOTER_BYTES
    try:
        return Footer.decode(file.read(where, FOOTER_BYTES), file.size)
    except Malformed as error:
        raise CorruptionError(path, where + error.offset, str(error)) from None
    except VersionError as error:
        raise VersionError(error.detail, path) from None


def _load_properties(parts: Parts, contents: bytes) -> None:
    parts.properties = Properties.decode(contents, parts.footer.filter.offset)


def _load_index(parts: Parts, contents: bytes) -> None:
    """The blocks must tile the file from 0 to the filter, with separators that do not descend."""
    found = index_entries(contents, parts.footer.filter.offset)
    if len(found) != parts.properties.blocks:
        raise Malformed("table index: bad entry")
    parts.separators = [key for key, _, _ in found]
    parts.offsets = [0, *(offset + size for _, offset, size in found)]
    if parts.separators[-1] != parts.properties.largest:
        raise Malformed("table index: does not end with the largest key")


def index_entries(contents: bytes, data_end: int) -> list[tuple[bytes, int, int]]:
    """(separator, offset, size) of each data block; they must tile the file from 0 to `data_end`."""
    found: list[tuple[bytes, int, int]] = []
    at = end = 0
    while at < len(contents):
        key, offset, size, at = _index_entry(contents, at)
        if offset != end or not TRAILER_BYTES < size <= min(STORED_MAX, data_end - offset) or found and key < found[-1][0]:
            raise Malformed("table index: bad entry")
        found.append((key, offset, size))
        end = offset + size
    if not found or end != data_end:
        raise Malformed("table index: does not end where the data ends")
    return found


def _index_entry(contents: bytes, at: int) -> tuple[bytes, int, int, int]:
    """A separator, and where its block lies; and where the next entry begins."""
    end = len(contents)
    try:
        size, at = read_varint(contents, at, end)
        if size > KEY_BYTES_MAX:
            raise Malformed("a key over the limit")
        key, at = read_bytes(contents, at, size, end)
        offset, at = read_varint(contents, at, end)
        stored, at = read_varint(contents, at, end)
    except Malformed:
        raise Malformed("table index: bad entry") from None
    return key, offset, stored, at


def _load_filter(parts: Parts, contents: bytes) -> None:
    """Its lines, then the number of probes; nothing at all when there is no filter."""
    if not contents:
        return
    parts.lines, parts.probes = contents[:-1], contents[-1]
    if not parts.lines or len(parts.lines) % bloom.LINE_BYTES or not 1 <= parts.probes <= bloom.PROBES_MAX:
        raise Malformed("table filter: wrong size or number of probes")
