"""Data block: some kilobytes of sorted entries, what a table is read by (docs/format-table.md).

    data-contents := entry+ restart:u32+ restart-count:u32
    entry         := shared:varint unshared:varint value-size:varint tag:varint key-delta value

Neighbours in a sorted block begin alike, so an entry holds only what differs from the key before: `shared` bytes are
taken from there. Every `restart_interval`-th entry is a restart point, which shares nothing, so that a reader may begin
there; the offsets of these stand at the end of the block.

A compiled reader searches a block where it lies. Here it is decoded once, when it is read, into three lists, on which
`bisect` searches; every length, offset and the order are checked on the way, and nothing of a damaged block is shown.

A Block is immutable. A BlockBuilder has one user.
"""
from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator

from lsm._pycore.coding import MORE, Malformed, read_varint, shared_bytes, varint
from lsm._pycore.key import KIND_MASK, PUT, Entry
from lsm.contract.arguments import KEY_BYTES_MAX

RESTART_INTERVAL_MAX = 1024             # a reader refuses longer runs: it may have to decode one whole
U32 = struct.Struct("<I")


class BlockBuilder:
    """Packs entries, which must come in strictly ascending order, into the contents of a block."""

    def __init__(self, restart_interval: int) -> None:
        self.restart_interval = min(max(restart_interval, 1), RESTART_INTERVAL_MAX)
        self.last_key = b""
        self.begin()

    def begin(self) -> None:
        """Begin the next block."""
        self.entries = 0
        self.size = 4                   # of the contents if finished now
        self._parts: list[bytes] = []
        self._offset = 0
        self._restarts: list[int] = []

    def add(self, key: bytes, tag: int, value: bytes) -> None:
        if self.entries % self.restart_interval == 0:
            self._restarts.append(self._offset)
            self.size += 4
            shared = 0
        else:
            shared = shared_bytes(key, self.last_key)
        entry = b"%b%b%b%b%b%b" % (varint(shared), varint(len(key) - shared), varint(len(value)), varint(tag),
                                   key[shared:], value)
        self._parts.append(entry)
        self._offset += len(entry)
        self.size += len(entry)
        self.entries += 1
        self.last_key = key

    def finish(self) -> bytes:
        return b"".join(self._parts) + struct.pack(f"<{len(self._restarts)}II", *self._restarts, len(self._restarts))


class Block:
    """The entries of one block: position i has key, tag and value i of the three lists."""

    __slots__ = ("keys", "tags", "values", "size")

    def __init__(self, keys: list[bytes], tags: list[int], values: list[bytes], size: int) -> None:
        self.keys = keys
        self.tags = tags
        self.values = values
        self.size = size                # of the contents

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: bytes, most: int) -> tuple[int, bytes] | None:
        """(tag, value) of the newest version of `key` whose tag is at most `most`, or None."""
        at = bisect_left(self.keys, key)
        while at < len(self.keys) and self.keys[at] == key:
            if self.tags[at] <= most:
                return self.tags[at], self.values[at]
            at += 1
        return None

    def ascending(self, start: bytes | None = None) -> Iterator[Entry]:
        first = 0 if start is None else bisect_left(self.keys, start)
        for at in range(first, len(self.keys)):
            yield self.keys[at], -self.tags[at], self.values[at]

    def descending(self, stop: bytes | None = None) -> Iterator[Entry]:
        end = len(self.keys) if stop is None else bisect_left(self.keys, stop)
        for at in reversed(range(end)):
            yield self.keys[at], -self.tags[at], self.values[at]


def decode_block(contents: bytes) -> Block:
    """All entries of a block, checked. Malformed says what is wrong."""
    end, restarts = _restart_points(contents)
    keys: list[bytes] = []
    tags: list[int] = []
    values: list[bytes] = []
    at, met, run, key = 0, 0, 0, b""
    while at < end:
        if met < len(restarts) and at == restarts[met]:
            met, run, key, before = met + 1, 0, b"", key
        else:
            run, before = run + 1, key
        shared, unshared, value_size, tag, at = _entry_head(contents, at, end)
        value_at = at + unshared
        if (shared > len(key) or shared + unshared > KEY_BYTES_MAX or value_size > end - value_at
                or tag & KIND_MASK > PUT or run >= RESTART_INTERVAL_MAX):
            raise Malformed("data block: bad entry")
        key = key[:shared] + contents[at:value_at]
        if keys and (key <= before if key != before else tag >= tags[-1]):
            raise Malformed("data block: keys are not in order")
        at = value_at + value_size
        keys.append(key)
        tags.append(tag)
        values.append(contents[value_at:at])
    if met != len(restarts):
        raise Malformed("data block: a restart point is not at an entry")
    return Block(keys, tags, values, len(contents))


def _restart_points(contents: bytes) -> tuple[int, tuple[int, ...]]:
    """Where the entries end, and the offsets of the restart points."""
    if len(contents) < 8:
        raise Malformed("data block: impossible size")
    count = U32.unpack_from(contents, len(contents) - 4)[0]
    if not 0 < count <= (len(contents) - 4) // 4:
        raise Malformed("data block: restart count does not fit the block")
    end = len(contents) - 4 - 4 * count
    restarts = struct.unpack_from(f"<{count}I", contents, end)
    if end == 0 or restarts[0] != 0:
        raise Malformed("data block: first restart point is not the first entry")
    return end, restarts


def _entry_head(contents: bytes, at: int, end: int) -> tuple[int, int, int, int, int]:
    """shared, unshared, value size and tag of the entry at `at`, and where its key begins. Behind `end` there are at
    least eight bytes more, so that looking a little too far is no error yet."""
    shared, unshared, value_size = contents[at], contents[at + 1], contents[at + 2]
    if (shared | unshared | value_size) < MORE:
        at += 3
    else:
        shared, at = read_varint(contents, at, end)
        unshared, at = read_varint(contents, at, end)
        value_size, at = read_varint(contents, at, end)
    tag, at = read_varint(contents, at, end)
    return shared, unshared, value_size, tag, at
