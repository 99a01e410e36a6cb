"""Table: one immutable, sorted file, open for reading (docs/format-table.md).

All but the data blocks is in memory (table_open.py). Looking a key up asks the filter,
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
from lsm._pycore.coding import Malformed
from lsm._pycore.faults import discard
from lsm._pycore.fork import generation
from lsm._pycore.key import KIND_BITS, KIND_MASK, Entry, seek_tag, sequence_of
from lsm._pycore.table_format import DATABASE_ID_BYTES, Handle
from lsm._pycore.table_open import damaged_parts, load_parts, read_contents
from lsm._pycore.table_verify import check_blocks, check_table
from lsm.errors import CorruptionError

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

    def _load(self, number: int, database_id: bytes | None) -> None:
        parts = load_parts(self._file, self._path)
        parts.check_identity(number, database_id)
        self._properties = parts.properties
        self._separators, self._offsets = parts.separators, parts.offsets
        self._lines, self._line_count, self._probes = parts.lines, len(parts.lines) // bloom.LINE_BYTES, parts.probes

    def __del__(self) -> None:
        if self._file is None or self._generation != generation():
            return
        self.cache.drop_table(self._id, len(self._separators))
        self._file.close()
        if self.obsolete:
            discard(self.directory, self.name)

    # ------------------------------------------------------------ blocks

    @property
    def separators(self) -> list[bytes]:
        """One for each block: its last key <= separator < the first key of the next."""
        return self._separators

    def read_block(self, index: int) -> Block:
        """Data block `index` from the file, past the cache."""
        offset = self._offsets[index]
        size = self._offsets[index + 1] - offset
        self._counts["block_reads"] += 1
        self._counts["bytes_read"] += size
        contents = read_contents(self._file, self._path, Handle(offset, size))
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

    @property
    def blocks(self) -> list[tuple[int, int, bytes]]:
        """(offset, size in the file, separator) of each data block."""
        return [(offset, end - offset, separator)
                for offset, end, separator in zip(self._offsets, self._offsets[1:], self._separators)]

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
        list of the CorruptionErrors, one for each damaged block and part)."""
        try:
            again = Table(self.directory, self.name, BlockCache(0), size=self.size, number=self.number,
                          database_id=self._properties.database_id)
        except CorruptionError as error:                # its blocks are then checked by what is in memory of them
            blocks, entries, found = check_blocks(self)
            return self.size, blocks, entries, [error, *damaged_parts(self._file, self._path, error.offset), *found]
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
