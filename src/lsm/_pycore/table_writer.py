"""TableWriter: writes one table file from entries in strictly ascending order (docs/format-table.md).

    table := data-block+ filter-block index-block properties-block footer

Entries gather in a BlockBuilder; a block that has reached `block_bytes` is sealed and handed on to the file. Beside it
grow what is written last: the index (one separator a block), the hashes for the filter, the counts.

`finish` makes the file durable; its name becomes so by the caller's sync of the directory. A writer that is not
finished, or failed, leaves no file behind. One user at a time.
"""
from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lsm._pycore import bloom
from lsm._pycore import compression as codecs
from lsm._pycore.block import BlockBuilder
from lsm._pycore.coding import shared_bytes, varint
from lsm._pycore.crc32c import crc32c
from lsm._pycore.faults import discard
from lsm._pycore.fork import generation
from lsm._pycore.key import DELETE, KIND_BITS, KIND_MASK, PUT, sequence_of, tag_of
from lsm._pycore.table_format import BLOCK_BYTES_MAX, DATABASE_ID_BYTES, Footer, Handle, Properties, seal
from lsm.contract.arguments import KEY_BYTES_MAX, VALUE_BYTES_MAX
from lsm.errors import ClosedError, StorageError, UnsupportedError

PIECE_BYTES = 256 << 10         # what one append hands to the file
FIXED_BYTES = 512               # of properties, footer and trailers, about


def separator(last: bytes, following: bytes) -> bytes:
    """The shortest beginning of `following` that is still after `last`, if it is shorter than `last` and before
    `following`; else `last`. It stands in the index for all a block holds.

    >>> separator(b"kenya:nairobi", b"kigali"), separator(b"a", b"b")
    (b'ki', b'a')
    """
    shared = shared_bytes(last, following)
    return following[:shared + 1] if shared + 1 < min(len(last), len(following)) else last


class TableWriter:
    def __init__(self, directory: Any, name: str, *, block_bytes: int = 4096, restart_interval: int = 16,
                 bits_per_key: int = 10, compression: str = "none", number: int = 0,
                 database_id: bytes = bytes(DATABASE_ID_BYTES), created: int = 0) -> None:
        self.directory = directory
        self.name = name
        self._file: Any = None
        if compression not in codecs.IDS:
            raise ValueError(f"compression is one of {', '.join(codecs.IDS)}, not {compression!r}")
        if codecs.IDS[compression] not in codecs.CODECS:
            raise UnsupportedError("this build of lsm lacks the compression asked for", name)
        if len(database_id) != DATABASE_ID_BYTES:
            raise ValueError("a database id is 16 bytes")
        if not 0 <= bits_per_key <= bloom.BITS_PER_KEY_MAX or block_bytes > BLOCK_BYTES_MAX // 4:
            raise ValueError("filter bits per key must be 0 to 64, and blocks at most 64 MiB")
        self._block_bytes = block_bytes
        self._bits_per_key = bits_per_key
        self._compression = codecs.IDS[compression]
        self._created = created
        self._properties = Properties(number=number, database_id=database_id)
        self._block = BlockBuilder(restart_interval)    # its last_key is the table's
        self._last_tag = 0
        self._last_block: Handle | None = None          # its index entry waits for the first key of the next
        self._index = bytearray()
        self._hashes: list[int] = []
        self._output = bytearray()                      # sealed, not yet in the file
        self._offset = 0                                # size of the file once `_output` is in it
        self._crc = 0                                   # of what is in the file
        self._generation = generation()
        self._file = directory.append_to(name)

    def __del__(self) -> None:
        if self._file is not None and self._generation == generation():
            self.discard()

    @property
    def size(self) -> int:
        """About the size of the file if finished now."""
        self._check_open()
        return (self._offset + self._block.size + len(self._index) + len(self._hashes) * self._bits_per_key // 8
                + FIXED_BYTES)

    def add(self, key: bytes, sequence: int, kind: int, value: bytes) -> None:
        """The next entry: after the one before by key, or of the same key and older."""
        self.append(key, tag_of(sequence_of(sequence), kind & KIND_MASK), value)

    def append(self, key: bytes, tag: int, value: bytes) -> None:
        """The same, for who has the tag."""
        self._check_open()
        try:
            self._append(key, tag, value)
        except BaseException:
            self.discard()
            raise

    def _append(self, key: bytes, tag: int, value: bytes) -> None:
        last = self._block.last_key
        if len(key) > KEY_BYTES_MAX or len(value) > VALUE_BYTES_MAX or tag & KIND_MASK > PUT:
            raise ValueError("key, value or kind is over the limit of a table")
        another = self._properties.entries == 0 or key != last
        if self._properties.entries and (key < last or not another and tag >= self._last_tag):
            raise ValueError("entries of a table must be added in order")
        if self._last_block is not None:
            self._put_index(separator(last, key))
        if another and self._bits_per_key > 0:
            self._hashes.append(bloom.hash64(key))
        self._count(key, tag, value)
        self._block.add(key, tag, value)
        self._last_tag = tag
        if self._block.size >= self._block_bytes:
            self._end_block()

    def _count(self, key: bytes, tag: int, value: bytes) -> None:
        counts, sequence = self._properties, tag >> KIND_BITS
        if counts.entries == 0:
            counts.smallest = key
            counts.min_sequence = counts.max_sequence = sequence
        counts.min_sequence = min(counts.min_sequence, sequence)
        counts.max_sequence = max(counts.max_sequence, sequence)
        counts.entries += 1
        counts.tombstones += tag & KIND_MASK == DELETE
        counts.key_bytes += len(key)
        counts.value_bytes += len(value)

    def _end_block(self) -> None:
        self._last_block = self._put_block(self._block.finish(), self._compression)
        self._properties.blocks += 1
        self._block.begin()

    def _put_index(self, key: bytes) -> None:
        assert self._last_block is not None
        offset, size = self._last_block
        self._index += varint(len(key)) + key + varint(offset) + varint(size)
        self._last_block = None

    def _put_block(self, contents: bytes, compression: int) -> Handle:
        if len(contents) > BLOCK_BYTES_MAX:
            raise ValueError("table too large: one of its blocks is over 256 MiB")
        sealed = seal(contents, compression)
        handle = Handle(self._offset, len(sealed))
        self._output += sealed
        self._offset += len(sealed)
        if len(self._output) >= PIECE_BYTES:
            self._write()
        return handle

    def _write(self) -> None:
        """Hand what is sealed to the file."""
        self._file.append(self._output)
        self._crc = crc32c(self._output, self._crc)
        self._output = bytearray()

    def finish(self) -> dict[str, Any]:
        """Complete and sync the file; a dict of what the manifest keeps of it. Sync the directory next."""
        self._check_open()
        try:
            if self._properties.entries == 0:
                raise ValueError("a table holds at least one entry")
            if self._block.entries:
                self._end_block()
            self._put_tail()
            self._file.sync()
            self._file.close()
        except BaseException:
            self.discard()
            raise
        self._file = None
        return asdict(self._properties) | {"size": self._offset, "crc": self._crc}

    def _put_tail(self) -> None:
        """Everything after the data blocks."""
        counts = self._properties
        counts.data_bytes = self._offset
        counts.largest = self._block.last_key
        counts.created = self._created or self.directory.now()
        self._put_index(counts.largest)
        filter_ = self._put_block(self._filter(), codecs.NONE)
        index = self._put_block(bytes(self._index), self._compression)
        properties = self._put_block(counts.encode(), codecs.NONE)
        self._output += Footer(filter_, index, properties).encode()
        self._offset = properties.offset + properties.size + 64
        self._write()

    def _filter(self) -> bytes:
        """Its lines, then the number of probes; empty when there is none."""
        lines = bloom.line_count(len(self._hashes), self._bits_per_key, BLOCK_BYTES_MAX - 64)
        probes = bloom.probes_of(self._bits_per_key)
        return bloom.build(self._hashes, lines, probes) + bytes((probes,)) if lines else b""

    def discard(self) -> None:
        """Give the file up, and remove it."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except StorageError:
                pass
            discard(self.directory, self.name)

    def _check_open(self) -> None:
        if self._file is None or self._generation != generation():
            raise ClosedError("the table writer is finished or failed: make another")
