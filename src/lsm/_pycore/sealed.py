"""Sealed blocks, one by one, for salvage: of a table that does not open, and without its index. Pure functions."""
from __future__ import annotations

from lsm._pycore.block import decode_block
from lsm._pycore.coding import Malformed
from lsm._pycore.crc32c import ALL_ONES, TABLE, crc32c_mask
from lsm._pycore.key import KIND_BITS, KIND_MASK
from lsm._pycore.table_format import TRAILER_BYTES, unseal
from lsm.errors import CorruptionError, UnsupportedError


def sealed_end(data: bytes, start: int, stop: int) -> int:
    """Where the block that begins at `start` ends, checksum included, told by that alone: the nearest place at or before `stop`
    where the checksum of all between is stored. 0 when there is none."""
    if stop > len(data):
        return 0
    state = ALL_ONES
    for end in range(start + TRAILER_BYTES, stop + 1):
        state = state >> 8 ^ TABLE[(state ^ data[end - TRAILER_BYTES]) & 0xFF]
        if crc32c_mask(state ^ ALL_ONES) == int.from_bytes(data[end - 4:end], "little"):
            return end
    return 0


def unsealed(sealed: bytes, path: str, offset: int = 0) -> bytes:
    """The contents of a block, which lies at `offset` of the file; its checksum is checked."""
    try:
        return unseal(sealed)
    except Malformed as error:
        raise CorruptionError(path, offset, str(error)) from None
    except UnsupportedError as error:
        raise UnsupportedError(error.detail, path) from None


def block_entries(contents: bytes, path: str, offset: int = 0) -> list[tuple[bytes, int, int, bytes]]:
    """[(key, sequence, kind, value)] of the contents of a data block; order, sizes and restart points are checked."""
    try:
        block = decode_block(contents)
    except Malformed as error:
        raise CorruptionError(path, offset, str(error)) from None
    return [(key, tag >> KIND_BITS, tag & KIND_MASK, value) for key, tag, value in zip(block.keys, block.tags, block.values)]
