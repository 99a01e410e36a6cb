"""Damage behind a right checksum: a block of a table that says what no version wrote, and is sealed anew.

What passes over it raises CorruptionError; what does not is right. In blocks with a directory in memory, which are checked when they
are read, and in those too large for one, which are checked where they are read; in a young table and in a level; and the plain core.
"""
import struct

import lsm
import pytest
from damage import walk
from lsm import _core
from table_files import open_table

ROWS = {b"key %04d" % n: b"%d:" % n * (250 + n % 7) for n in range(600)}
ABSENT = [b"key %04d+" % n for n in range(0, 600, 9)]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


class Entry:
    """Of the contents of a data block: where its fields are."""

    def __init__(self, contents, at):
        self.at = at
        self.shared, at = varint(contents, at)
        self.unshared, at = varint(contents, at)
        self.value_at = at
        self.value_size, at = varint(contents, at)
        self.tag, self.delta = varint(contents, at)
        self.end = self.delta + self.unshared + self.value_size


def entries(contents):
    end = len(contents) - 4 - 4 * struct.unpack_from("<I", contents, len(contents) - 4)[0]
    at = 0
    while at < end:
        yield Entry(contents, at)
        at = Entry(contents, at).end


def shares_too_much(contents, found):
    contents[found.at] = 127


def ends_behind_the_block(contents, found):
    contents[found.value_at:found.value_at + 2] = b"\xff\x7f"           # as long as the varint that was there


def descends(contents, found):
    contents[found.delta + found.unshared - 1] = ord("/")


def is_there_twice(contents, found):
    """The key of the entry before, and not older."""
    contents[found.delta + found.unshared - 1] -= 1


SPOILT = {"shares too much": shares_too_much, "ends behind the block": ends_behind_the_block, "descends": descends,
          "is there twice": is_there_twice}


def spoil(path, how):
    """Spoil an entry in the last third of the middle block, not at a restart point; the key it had."""
    table = open_table(_core.Directory(str(path.parent)), path.name)
    blocks = table.blocks
    at, size, _ = blocks[len(blocks) // 2]
    data = bytearray(path.read_bytes())
    contents = data[at:at + size - 5]
    found = list(entries(contents))
    number = len(found) - 1
    if how is not ends_behind_the_block:
        number = next(n for n in range(2 * len(found) // 3, len(found)) if found[n].shared and contents[found[n].delta] > ord("0"))
    key = _core.block_entries(bytes(contents), "")[number][0]
    how(contents, found[number])
    stored = bytes(contents) + bytes([0])
    data[at:at + size] = stored + struct.pack("<I", _core.crc32c_mask(_core.crc32c(stored)))
    path.write_bytes(data)
    return key


@pytest.mark.parametrize("engine, block_bytes, compacted", [
    ("lsm", 4096, False), ("lsm", 4096, True), ("lsm", 200_000, False), ("lsm", 200_000, True), ("pylsm", 4096, True)])
@pytest.mark.parametrize("how", SPOILT)
def test_what_passes_over_it_raises_and_the_rest_is_right(path, engine, how, block_bytes, compacted):
    with lsm.open(path, compression="none", block_bytes=block_bytes) as db:
        db.write_many(ROWS)
        db.compact() if compacted else db.flush()
    (table,) = path.glob("*.table")
    spoilt = spoil(table, SPOILT[how])
    with lsm.open(path, engine=engine) as db:
        def cursor():
            with db.cursor() as cursor:
                on = cursor.seek(spoilt[:-1])
                while on:
                    on = cursor.next()

        def cursor_back():
            with db.cursor() as cursor:
                on = cursor.last()
                while on:
                    on = cursor.prev()

        for what, read in {"scan": lambda: list(db.scan()), "back": lambda: list(db.scan(reverse=True)), "keys": lambda: list(db),
                           "walk": lambda: walk(db), "cursor": cursor, "cursor back": cursor_back, "len": lambda: len(db),
                           "values": lambda: list(db.scan(keys=False)), "chunks": lambda: list(db.scan_chunks()),
                           "part": lambda: list(db.scan(spoilt[:-1], spoilt + b"~"))}.items():
            for _ in range(2):                      # the second time what is whole comes from the cache
                with pytest.raises(lsm.CorruptionError) as caught:
                    read()
                assert caught.value.path.endswith(table.name) and caught.value.detail, what
        keys = [key for key in [*ROWS, *ABSENT] if key != spoilt]
        for _ in range(2):
            settled = 0
            for key in keys:
                try:
                    assert db.get(key) == ROWS.get(key), key
                    settled += 1
                except lsm.CorruptionError as error:
                    assert error.path.endswith(table.name)
            assert len(keys) // 10 < settled
            for key in keys[::3]:
                try:
                    assert db.multi_get([key, keys[0], keys[-1]]) == [ROWS.get(key), ROWS[keys[0]], None]
                except lsm.CorruptionError as error:
                    assert error.path.endswith(table.name)
        assert [error.path for error in db.verify().damage] == [str(table)]
        if not compacted:
            with pytest.raises(lsm.ReadOnlyError) as refused:
                db.compact()
            assert isinstance(refused.value.__cause__, lsm.CorruptionError)
    assert table.exists()
