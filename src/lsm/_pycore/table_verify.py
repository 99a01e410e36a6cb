"""Verify: hold every byte of a table against everything known about it.

Reading checks the checksum, the lengths and the order within each block. Beyond that: the order across blocks, the
separators, every key in the filter, all counts, the checksum of the whole file as the manifest has it.

Every damaged block is listed, once each, in the order of the file. What can only be said of the file as a whole is
checked when no block is damaged. Pure functions of a table that was opened anew for it.
"""
from __future__ import annotations

import os
from typing import Any

from lsm._pycore.block import Block
from lsm._pycore.bloom import hash64
from lsm._pycore.crc32c import crc32c
from lsm._pycore.key import DELETE, KIND_BITS, KIND_MASK
from lsm._pycore.table_format import Properties
from lsm.errors import CorruptionError

PIECE_BYTES = 256 << 10
TAIL_BLOCKS = 3             # filter, index, properties


def check_table(table: Any, crc: int | None) -> tuple[int, int, list[CorruptionError]]:
    """Blocks and entries seen, and the damage. `crc`, if known, is that of the whole file."""
    seen, before, found = _check(table)
    whole = "" if found else _wrong_with_whole(table, seen, before, crc)
    if whole:
        found.append(CorruptionError(os.path.join(table.directory.path, table.name), 0, whole))
    return seen.blocks + TAIL_BLOCKS, seen.entries, found


def check_blocks(table: Any) -> tuple[int, int, list[CorruptionError]]:
    """The same of its data blocks alone."""
    seen, _, found = _check(table)
    return seen.blocks, seen.entries, found


def _check(table: Any) -> tuple[Properties, Block | None, list[CorruptionError]]:
    """What was seen in the data blocks, the last of them if it was whole, and the damage."""
    path = os.path.join(table.directory.path, table.name)
    seen = Properties()
    found: list[CorruptionError] = []
    before: Block | None = None                         # the block before, if it was whole
    for index in range(len(table.separators)):
        seen.blocks += 1
        try:
            block = table.read_block(index)
        except CorruptionError as error:
            found.append(error)
            before = None
            continue
        detail = _wrong_with_start(table, index, block, before) or _wrong_with_entries(table, index, block)
        if detail:
            found.append(CorruptionError(path, table.offset_of(index), detail))
        before = None if detail else block
        _count(seen, block)
    return seen, before, found


def _wrong_with_start(table: Any, index: int, block: Block, before: Block | None) -> str:
    """The first entry of a block follows the last entry and the separator of the block before."""
    first = block.keys[0]
    if index == 0 and first != table.smallest:
        return "table properties: smallest key is not the first"
    if before is None:
        return ""
    last, separator = before.keys[-1], table.separators[index - 1]
    if (last, -before.tags[-1]) >= (first, -block.tags[0]):
        return "data block: begins before the one before it ends"
    if last > separator or separator > first or separator == first != last:     # equal only amid versions of one key
        return "table index: separator does not separate"
    return ""


def _wrong_with_entries(table: Any, index: int, block: Block) -> str:
    if all(table.may_contain(hash64(key)) for key in set(block.keys)):
        return ""
    return "table filter: a key of this block is missing"


def _count(seen: Properties, block: Block) -> None:
    sequences = [tag >> KIND_BITS for tag in block.tags]
    if seen.entries == 0:
        seen.min_sequence = seen.max_sequence = sequences[0]
    seen.min_sequence = min(seen.min_sequence, *sequences)
    seen.max_sequence = max(seen.max_sequence, *sequences)
    seen.entries += len(block)
    seen.tombstones += sum(tag & KIND_MASK == DELETE for tag in block.tags)
    seen.key_bytes += sum(map(len, block.keys))
    seen.value_bytes += sum(map(len, block.values))


def _wrong_with_whole(table: Any, seen: Properties, last: Block | None, crc: int | None) -> str:
    stated = table.properties
    if last is None or last.keys[-1] != table.largest:
        return "table properties: largest key is not the last"
    for name in ("entries", "tombstones", "blocks", "key_bytes", "value_bytes", "min_sequence", "max_sequence"):
        if getattr(seen, name) != stated[name]:
            return "table properties: counts differ from the entries found"
    if crc is not None and _crc_of_file(table) != crc:
        return "checksum of the whole file does not match the manifest's"
    return ""


def _crc_of_file(table: Any) -> int:
    crc = 0
    for at in range(0, table.size, PIECE_BYTES):
        crc = crc32c(table.read(at, min(PIECE_BYTES, table.size - at)), crc)
    return crc
