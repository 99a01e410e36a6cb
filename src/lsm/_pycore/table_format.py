"""The fixed parts of a table file: sealed blocks, properties, footer (docs/format-table.md).

    block      := stored compression:u8 crc:u32             sealed: nothing of it is believed before its checksum holds
    properties := counts, sequences, number, created, database id, smallest and largest key
    footer     := filter-handle index-handle properties-handle version:u32 crc:u32 "lsmtable"     64 bytes, at the end
    handle     := offset:u64 size:u64                        size: of the block in the file, crc included

The footer keeps its 64 bytes, its checksum and its version in every version to come: an old reader says "newer format"
of a newer file, and "damaged" of a damaged one. Every length is held against what contains it before it is used. Pure
functions; what is wrong is a Malformed, a VersionError or an UnsupportedError.
"""
from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, fields
from typing import NamedTuple

from lsm._pycore import compression as codecs
from lsm._pycore.coding import Malformed, read_bytes
from lsm._pycore.crc32c import masked_crc
from lsm._pycore.key import SEQUENCE_MAX
from lsm.contract.arguments import KEY_BYTES_MAX
from lsm.errors import UnsupportedError, VersionError

TRAILER_BYTES = 5
SIZE_BYTES = 4                          # before compressed bytes: the size of the contents
BLOCK_BYTES_MAX = 256 << 20             # of the contents of any block
STORED_MAX = BLOCK_BYTES_MAX + SIZE_BYTES + TRAILER_BYTES
COMPRESSIBLE_BYTES = 32                 # anything smaller is stored as it is
LZ4_RATIO_MAX = 256
ZSTD_RATIO_MAX = 32768                  # 128 KiB take four bytes at least
FORMAT_VERSION = 1
FOOTER_BYTES = 64
MAGIC = b"lsmtable"
DATABASE_ID_BYTES = 16


class Handle(NamedTuple):
    """Where a block lies in the file."""

    offset: int
    size: int


def seal(contents: bytes, compression: int) -> bytes:
    """A block as it lies in the file; compressed when that saves at least a sixteenth."""
    stored = contents
    if compression != codecs.NONE and len(contents) >= COMPRESSIBLE_BYTES:
        made = codecs.compress(compression, contents)
        if len(made) <= len(contents) - len(contents) // 16 - SIZE_BYTES:
            stored = len(contents).to_bytes(SIZE_BYTES, "little") + made
    if stored is contents:
        compression = codecs.NONE
    covered = b"%b%c" % (stored, compression)
    return covered + masked_crc(covered).to_bytes(4, "little")


def unseal(sealed: bytes) -> bytes:
    """The contents of a block, its checksum checked."""
    if len(sealed) < TRAILER_BYTES:
        raise Malformed("block smaller than its trailer")
    if masked_crc(memoryview(sealed)[:-4]) != int.from_bytes(sealed[-4:], "little"):
        raise Malformed("block checksum does not match")
    compression, stored = sealed[-TRAILER_BYTES], sealed[:-TRAILER_BYTES]
    if compression == codecs.NONE:
        return _within_limit(stored, len(stored))
    if compression not in codecs.CODECS:
        name = codecs.NAMES.get(compression, "an unknown compression")
        raise UnsupportedError(f"block compressed with {name} (id {compression}), which this build of lsm lacks: install "
                               "one that has it")
    if len(stored) < SIZE_BYTES:
        raise Malformed("compressed block without its size")
    size = int.from_bytes(stored[:SIZE_BYTES], "little")
    _within_limit(stored, size)
    if compression == codecs.LZ4 and size // LZ4_RATIO_MAX > len(stored):
        raise Malformed("block claims more than lz4 can hold in its bytes")
    if compression == codecs.ZSTD and size // ZSTD_RATIO_MAX > len(stored):
        raise Malformed("block claims more than zstd can hold in its bytes")
    try:
        return codecs.decompress(compression, stored[SIZE_BYTES:], size)
    except Malformed:
        raise Malformed("block does not decompress to its stated size") from None


def _within_limit(stored: bytes, size: int) -> bytes:
    if size > BLOCK_BYTES_MAX:
        raise Malformed("block claims more than 256 MiB")
    return stored


@dataclass
class Properties:
    """What a table says of itself. The first ten lie in the file in this order."""

    entries: int = 0
    tombstones: int = 0
    key_bytes: int = 0                  # as given, before compression
    value_bytes: int = 0
    data_bytes: int = 0                 # of the data blocks in the file
    blocks: int = 0                     # data blocks
    min_sequence: int = 0
    max_sequence: int = 0
    number: int = 0                     # the table's own, as in its file name
    created: int = 0                    # microseconds since 1970
    database_id: bytes = bytes(DATABASE_ID_BYTES)
    smallest: bytes = b""
    largest: bytes = b""

    def encode(self) -> bytes:
        return b"".join((struct.pack("<10Q", *astuple(self)[:10]), self.database_id,
                         len(self.smallest).to_bytes(4, "little"), self.smallest,
                         len(self.largest).to_bytes(4, "little"), self.largest))

    @classmethod
    def decode(cls, contents: bytes, data_bytes: int) -> Properties:
        """`data_bytes`: where the data ends by the footer."""
        try:
            numbers = struct.unpack_from("<10Q", contents)
            database_id, at = read_bytes(contents, 80, DATABASE_ID_BYTES, len(contents))
            smallest, at = _read_key(contents, at)
            largest, at = _read_key(contents, at)
        except (struct.error, Malformed):
            at = -1
        if at != len(contents):
            raise Malformed("table properties: wrong size")
        names = [field.name for field in fields(cls)]
        found = cls(**dict(zip(names, (*numbers, database_id, smallest, largest))))
        found.check(data_bytes)
        return found

    def check(self, data_bytes: int) -> None:
        if self.data_bytes != data_bytes:
            raise Malformed("table properties: data bytes do not end at the filter")
        if not 0 < self.blocks <= self.entries or self.tombstones > self.entries:
            raise Malformed("table properties: impossible counts")
        if not self.min_sequence <= self.max_sequence <= SEQUENCE_MAX:
            raise Malformed("table properties: impossible sequence numbers")
        if self.smallest > self.largest:
            raise Malformed("table properties: smallest key after largest")


def _read_key(contents: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_bytes(contents, at, 4, len(contents))
    if int.from_bytes(size, "little") > KEY_BYTES_MAX:
        raise Malformed("a key over the limit")
    return read_bytes(contents, at, int.from_bytes(size, "little"), len(contents))


@dataclass(frozen=True)
class Footer:
    filter: Handle
    index: Handle
    properties: Handle

    def encode(self) -> bytes:
        head = struct.pack("<6QI", *self.filter, *self.index, *self.properties, FORMAT_VERSION)
        return head + masked_crc(head).to_bytes(4, "little") + MAGIC

    @classmethod
    def decode(cls, data: bytes, file_size: int) -> Footer:
        """The blocks it names tile the file, from the end of the data to the footer."""
        if data[56:] != MAGIC:
            raise Malformed("not a table file: no magic at its end", 56)
        if masked_crc(data[:52]) != int.from_bytes(data[52:56], "little"):
            raise Malformed("table footer checksum does not match", 0)
        *places, version = struct.unpack_from("<6QI", data)
        if version != FORMAT_VERSION:
            raise VersionError(f"format version {version} of a table; this lsm reads up to {FORMAT_VERSION}: "
                               "use a newer lsm")
        footer = cls(Handle(*places[:2]), Handle(*places[2:4]), Handle(*places[4:]))
        end = file_size - FOOTER_BYTES
        for offset, size in (footer.properties, footer.index, footer.filter):
            if not TRAILER_BYTES <= size <= min(STORED_MAX, end) or offset != end - size:
                raise Malformed("table footer: a block does not lie where it must", 0)
            end = offset
        return footer
