"""Table: one immutable, sorted file, open for reading (docs/format-table.md).

Opening reads and checks all but the data blocks: footer, properties, index, filter. Looking a key up asks the filter,
then the index, which is in memory, then one block: at most one read from the disk, and none when the block is cached.

Every checksum is checked at every read. What is wrong is a CorruptionError with file and offset.

Set `obsolete` when no later version needs the file: the last holder to let go removes it. Threads: a Table may be
shared; its counters may lose a count.
"""
from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lsm._pycore import bloom
from lsm._pycore.block import Block, decode_block
from lsm._pycore.cache import BlockCache
from lsm._pycore.coding import Malformed, read_bytes, read_varint
from lsm._pycore.faults import discard
from lsm._pycore.fork import generation
from lsm._pycore.key import KIND_BITS, KIND_MASK, Entry, seek_tag, sequence_of
from lsm._pycore.table_format import (
    DATABASE_ID_BYTES, FOOTER_BYTES, STORED_MAX, TRAILER_BYTES, Footer, Handle, Properties, unseal,
)
from lsm._pycore.table_verify import check_table
from lsm.contract.arguments import KEY_BYTES_MAX
from lsm.errors import CorruptionError, UnsupportedError, VersionError

INDEX_ENTRY_BYTES = 128         # of memory, beside the separator


class Table:
    """Table(directory, name, cache, *, size=0, number=0, database_id=None). What is given of the last three must be true
    of the file."""

    def __init__(self, directory: Any, name: str, cache: BlockCache, *, size: int = 0, number: int = 0,
                 database_id: bytes | None = None) -> None:
        self._file: Any = None
        if database_id is not None and len(database_id) != DATABASE_ID_BYTES:
            raise ValueError("a database id is 16 bytes")
        self.directory = directory
        self.name = name
        self.cache = cache
        self.obsolete = False
        self._generation = generation()
        self._id = cache.new_table()
        self._separators: list[bytes] = []
        self._offsets = [0]                             # of each block, and where the data ends
        self._lines, self._line_count, self._probes = b"", 0, 0
        self._counts = {"filter_probes": 0, "filter_negatives": 0, "false_positives": 0, "block_reads": 0, "bytes_read": 0}
        try:
            self._file = directory.open_to_read(name)
        except FileNotFoundError:
            if number:
                raise self._damaged(0, "the file is missing, and the database needs it") from None
            raise
        if size and self.size != size:
            raise self._damaged(self.size, "the file is not as long as it was when written")
        self._load(number, database_id)

    def __del__(self) -> None:
        if self._file is None or self._generation != generation():
            return
        self.cache.drop_table(self._id, len(self._separators))
        self._file.close()
        if self.obsolete:
            discard(self.directory, self.name)

    # ------------------------------------------------------------ opening

    def _load(self, number: int, database_id: bytes | None) -> None:
        footer = self._load_footer()
        where = footer.properties.offset
        try:
            self._properties = Properties.decode(self._contents(footer.properties), footer.filter.offset)
        except Malformed as error:
            raise self._damaged(where, str(error)) from None
        if number and self.number != number:
            raise self._damaged(where, "another table's file: its number is not that of its name")
        if database_id is not None and self._properties.database_id != database_id:
            raise self._damaged(where, "another database's file: its database id differs")
        try:
            self._load_index(self._contents(footer.index), footer.filter.offset)
        except Malformed as error:
            raise self._damaged(footer.index.offset, f"table index: {error}") from None
        self._load_filter(self._contents(footer.filter), footer.filter.offset)
        for counted in self._counts:
            self._counts[counted] = 0                   # they count data blocks only

    def _load_footer(self) -> Footer:
        if self.size < FOOTER_BYTES:
            raise self._damaged(self.size, "file too short to be a table")
        where = self.size - FOOTER_BYTES
        try:
            return Footer.decode(self._file.read(where, FOOTER_BYTES), self.size)
        except Malformed as error:
            raise self._damaged(where + error.offset, str(error)) from None
        except VersionError as error:
            raise VersionError(error.detail, self._path) from None

    def _load_index(self, contents: bytes, data_end: int) -> None:
        """One separator a block; the blocks must tile the file from 0 to the filter."""
        at, end = 0, len(contents)
        for _ in range(self._properties.blocks):
            size, at = read_varint(contents, at, end)
            key, at = read_bytes(contents, at, size, end)
            offset, at = read_varint(contents, at, end)
            stored, at = read_varint(contents, at, end)
            if (size > KEY_BYTES_MAX or offset != self._offsets[-1] or not TRAILER_BYTES < stored <= STORED_MAX
                    or stored > data_end - offset or (self._separators and key < self._separators[-1])):
                raise Malformed("bad entry")
            self._separators.append(key)
            self._offsets.append(offset + stored)
        if at != end or self._offsets[-1] != data_end:
            raise Malformed("does not end where the data ends")
        if self._separators[-1] != self.largest:
            raise Malformed("does not end with the largest key")

    def _load_filter(self, contents: bytes, where: int) -> None:
        if not contents:
            return
        size, self._probes = len(contents) - 1, contents[-1]
        if size == 0 or size % bloom.LINE_BYTES or not 1 <= self._probes <= bloom.PROBES_MAX:
            raise self._damaged(where, "table filter: wrong size or number of probes")
        self._lines, self._line_count = contents[:size], size // bloom.LINE_BYTES

    # ------------------------------------------------------------ blocks

    @property
    def separators(self) -> list[bytes]:
        """One for each block: its last key <= separator < the first key of the next."""
        return self._separators

    def _contents(self, handle: Handle) -> bytes:
        """The contents of the block that lies there."""
        self._counts["block_reads"] += 1
        self._counts["bytes_read"] += handle.size
        sealed = self._file.read(handle.offset, handle.size)
        try:
            return unseal(sealed)
        except Malformed as error:
            raise self._damaged(handle.offset, str(error)) from None
        except UnsupportedError as error:
            raise UnsupportedError(error.detail, self._path) from None

    def read_block(self, index: int) -> Block:
        """Data block `index` from the file, past the cache."""
        offset = self._offsets[index]
        contents = self._contents(Handle(offset, self._offsets[index + 1] - offset))
        try:
            return decode_block(contents)
        except Malformed as error:
            raise self._damaged(offset, str(error)) from None

    def _block(self, index: int, scanning: bool = False) -> Block:
        block = self.cache.get((self._id, index))
        if block is None:
            block = self.read_block(index)
            self.cache.put((self._id, index), block, only_if_room=scanning)
        return block

    def offset_of(self, index: int) -> int:
        """Where data block `index` lies in the file."""
        return self._offsets[index]

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file as they lie there."""
        return self._file.read(offset, size)            # type: ignore[no-any-return]

    def _damaged(self, offset: int, detail: str) -> CorruptionError:
        return CorruptionError(self._path, offset, detail)

    @property
    def _path(self) -> str:
        return os.path.join(self.directory.path, self.name)

    # ------------------------------------------------------------ looking up

    def find(self, key: bytes, hash_: int, most: int) -> tuple[int, bytes] | None:
        """(tag, value) of the newest version of `key` with a tag of at most `most`, or None; `hash_` is its hash64."""
        counts = self._counts
        counts["filter_probes"] += 1
        if not self.may_contain(hash_):
            counts["filter_negatives"] += 1
            return None
        index = bisect_left(self._separators, key)
        while index < len(self._separators):
            found = self._block(index).find(key, most)
            if found is not None:
                return found
            if self._separators[index] != key:          # else older versions may fill the next block
                break
            index += 1
        counts["false_positives"] += 1
        return None

    def may_contain(self, hash_: int) -> bool:
        return bloom.may_contain(self._lines, self._line_count, self._probes, hash_)

    def ascending(self, start: bytes | None = None, *, past_cache: bool = False) -> Iterator[Entry]:
        """All entries with keys from `start` on, in order; `past_cache` leaves the cache alone, as a merge does."""
        first = 0 if start is None else bisect_left(self._separators, start)
        for index in range(first, len(self._separators)):
            block = self.read_block(index) if past_cache else self._block(index, scanning=index > first)
            yield from block.ascending(start if index == first else None)

    def descending(self, stop: bytes | None = None) -> Iterator[Entry]:
        """All entries with keys below `stop`, in the opposite order."""
        end = len(self._separators)
        last = end - 1 if stop is None else min(bisect_left(self._separators, stop), end - 1)
        for index in range(last, -1, -1):
            yield from self._block(index, scanning=index < last).descending(stop if index == last else None)

    # ------------------------------------------------------------ what it says of itself

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size              # type: ignore[no-any-return]

    @property
    def number(self) -> int:
        return self._properties.number

    @property
    def entries(self) -> int:
        return self._properties.entries

    @property
    def tombstones(self) -> int:
        return self._properties.tombstones

    @property
    def smallest(self) -> bytes:
        return self._properties.smallest

    @property
    def largest(self) -> bytes:
        return self._properties.largest

    @property
    def properties(self) -> dict[str, Any]:
        """Everything the file says of itself, as a dict."""
        return asdict(self._properties)

    @property
    def index_bytes(self) -> int:
        """Memory the index takes, about."""
        return sum(map(len, self._separators)) + INDEX_ENTRY_BYTES * len(self._separators)

    @property
    def filter_bytes(self) -> int:
        """Memory the filter takes."""
        return len(self._lines)

    @property
    def counters(self) -> dict[str, int]:
        """Filter probes, filter negatives, false positives, blocks read, bytes read; since the table was opened."""
        return dict(self._counts)

    # Doors of the same shape as those of the compiled core, for tests and tools.

    def get(self, key: bytes, sequence: int | None = None) -> tuple[int, int, bytes] | None:
        """(sequence, kind, value) of the newest entry of `key` at or below `sequence`, or None."""
        found = self.find(key, bloom.hash64(key), seek_tag(sequence_of(sequence)))
        return None if found is None else (found[0] >> KIND_BITS, found[0] & KIND_MASK, found[1])

    def entries_list(self, reverse: bool = False, scan: bool = False) -> list[tuple[bytes, int, int, bytes]]:
        """All (key, sequence, kind, value), as a list."""
        entries = self.descending() if reverse else self.ascending(past_cache=scan)
        return [(key, -order >> KIND_BITS, -order & KIND_MASK, value) for key, order, value in entries]

    def damage(self, crc: int | None = None) -> tuple[int, int, int, list[CorruptionError]]:
        """Read and check every byte; `crc` is the whole file's as the manifest has it. (bytes, blocks, entries, and a
        list of the CorruptionErrors, one for each damaged block, in the order of the file)."""
        try:
            again = Table(self.directory, self.name, BlockCache(0), size=self.size, number=self.number,
                          database_id=self._properties.database_id)
        except CorruptionError as error:                # without these parts its blocks cannot be told
            return self.size, 0, 0, [error]
        blocks, entries, found = check_table(again, crc)
        return self.size, blocks, entries, found

    def verify(self, crc: int | None = None) -> tuple[int, int, int]:
        """The same, but the first damage is raised. (bytes, blocks, entries)."""
        size, blocks, entries, found = self.damage(crc)
        if found:
            raise found[0]
        return size, blocks, entries

    def __repr__(self) -> str:
        return f"Table({self.name!r}: {self.entries} entries, {self.size} bytes)"
