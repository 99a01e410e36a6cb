"""Damaged, crafted and foreign table files: a typed error naming the file, or the right data; never anything else."""
import random
import struct

import pytest
from table_files import DATABASE, PUT, open_table, some_entries, write_table

from lsm import _core
from lsm.errors import CorruptionError, StorageError, UnsupportedError, VersionError

NAME = "000003.table"
ENTRIES = some_entries(21, 24, versions=3, value_bytes=12)
OPTIONS = {"block_bytes": 200, "restart_interval": 4, "number": 3, "created": 5}


@pytest.fixture
def directory(tmp_path):
    return _core.Directory(str(tmp_path / "db"), create=True)


@pytest.fixture
def path(tmp_path, directory):
    return tmp_path / "db" / NAME


def read_all(directory, **expected):
    """Everything a reader may ask of a table."""
    table = open_table(directory, NAME, **expected)
    found = [table.get(key, sequence) for key, sequence, *_ in ENTRIES]
    return (found, table.get(b"none"), table.entries_list(), table.entries_list(reverse=True),
            table.entries_list(scan=True))


RIGHT = ([entry[1:] for entry in ENTRIES], None, ENTRIES, ENTRIES[::-1], ENTRIES)


def right_or_refused(directory, crc, what, must_refuse=False):
    try:
        answer = read_all(directory)
        assert not must_refuse, f"{what}: not noticed"
        assert answer == RIGHT, f"{what}: wrong data"
    except (CorruptionError, VersionError, UnsupportedError) as refusal:
        assert refusal.path.endswith(NAME), what
        assert refusal.offset is not None
    try:
        open_table(directory, NAME).verify(crc)
        raise AssertionError(f"{what}: verify did not notice")
    except CorruptionError as refusal:
        assert refusal.path.endswith(NAME) and refusal.offset >= 0 and refusal.detail


@pytest.mark.parametrize("compression", _core.compressions)
def test_every_bit_flipped(directory, path, compression):
    facts = write_table(directory, NAME, ENTRIES, compression=compression, **OPTIONS)
    good = path.read_bytes()
    assert read_all(directory) == RIGHT
    for bit in range(len(good) * 8):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        right_or_refused(directory, facts["crc"], f"bit {bit}", must_refuse=True)


def test_every_length_it_could_be_cut_to(directory, path):
    facts = write_table(directory, NAME, ENTRIES, **OPTIONS)
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        right_or_refused(directory, facts["crc"], f"cut to {size}", must_refuse=True)
        with pytest.raises(CorruptionError, match="not as long"):
            open_table(directory, NAME, size=facts["size"])


def test_cut_after_it_was_opened(directory, path):
    write_table(directory, NAME, ENTRIES, **OPTIONS)
    table = open_table(directory, NAME)
    with open(path, "r+b") as file:
        file.truncate(150)
    for read in (lambda: table.entries_list(), lambda: table.entries_list(scan=True), lambda: table.verify(),
                 lambda: [table.get(entry[0]) for entry in ENTRIES]):
        with pytest.raises(CorruptionError):
            read()


def test_bytes_after_the_end(directory, path):
    facts = write_table(directory, NAME, ENTRIES, **OPTIONS)
    good = path.read_bytes()
    for more in (b"\0", b"garbage", good):
        path.write_bytes(good + more)
        right_or_refused(directory, facts["crc"], "trailing bytes", must_refuse=more != good)
        with pytest.raises(CorruptionError):
            open_table(directory, NAME, size=facts["size"])


def test_runs_of_random_damage(directory, path):
    facts = write_table(directory, NAME, ENTRIES, **OPTIONS)
    good = path.read_bytes()
    rng = random.Random(31)
    for turn in range(300):
        damaged = bytearray(good)
        size = rng.choice([1, 2, 8, 64])
        at = rng.randrange(len(good) - size)
        damaged[at:at + size] = bytes(size) if turn % 3 == 0 else rng.randbytes(size)
        if damaged != good:
            path.write_bytes(damaged)
            right_or_refused(directory, facts["crc"], f"turn {turn}", must_refuse=True)


def test_other_files_in_its_place(directory, path):
    write_table(directory, NAME, ENTRIES, **OPTIONS)
    with pytest.raises(CorruptionError, match="another table's file"):
        open_table(directory, NAME, number=4)
    with pytest.raises(CorruptionError, match="another database's file"):
        open_table(directory, NAME, number=3, database_id=b"x" * 16)
    open_table(directory, NAME, number=3, database_id=DATABASE)
    for contents in (b"", b"lsmtable", bytes(4096), b"lsmtable" * 8, random.Random(1).randbytes(4096)):
        path.write_bytes(contents)
        with pytest.raises(CorruptionError):
            open_table(directory, NAME)
    path.unlink()
    with pytest.raises(StorageError) as caught:
        open_table(directory, NAME)
    assert caught.value.filename.endswith(NAME)
    with pytest.raises(CorruptionError, match="missing"):
        open_table(directory, NAME, number=3)


# --- crafted files: every checksum is right, the contents are not --------------------------------------------------

def sealed(contents: bytes, compression: int = 0) -> bytes:
    """A block as in docs/format-table.md."""
    stored = contents + bytes([compression])
    return stored + struct.pack("<I", _core.crc32c_mask(_core.crc32c(stored)))


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


class Crafted:
    """A table file put together by hand, part by part, so that a test may spoil any of them."""

    def __init__(self):
        self.blocks = [sealed(_core._block_build([(b"a", 1, PUT, b"1"), (b"b", 2, PUT, b"2")])),
                       sealed(_core._block_build([(b"c", 3, PUT, b"3"), (b"d", 4, PUT, b"4")]))]
        self.separators = [b"b", b"d"]
        self.filter = b""
        self.counts = {"entries": 4, "tombstones": 0, "key_bytes": 4, "value_bytes": 4, "data_bytes": None,
                       "blocks": 2, "min_sequence": 1, "max_sequence": 4, "number": 3, "created": 0}
        self.smallest, self.largest = b"a", b"d"
        self.version = 1
        self.index = None
        self.properties_tail = b""
        self.properties_size = None
        self.move = (0, 0, 0)
        self.claimed = (None, None, None)

    def bytes(self) -> bytes:
        data, index = b"", b""
        for block, separator in zip(self.blocks, self.separators):
            index += varint(len(separator)) + separator + varint(len(data)) + varint(len(block))
            data += block
        self.counts["data_bytes"] = self.counts["data_bytes"] or len(data)
        properties = (struct.pack("<10Q", *self.counts.values()) + DATABASE + struct.pack("<I", len(self.smallest))
                      + self.smallest + struct.pack("<I", len(self.largest)) + self.largest + self.properties_tail)
        properties = properties[:self.properties_size]
        file, handles = data, b""
        for contents, move, claimed in zip((self.filter, self.index or index, properties), self.move, self.claimed):
            block = contents if isinstance(contents, bytearray) else sealed(contents)
            handles += struct.pack("<QQ", (len(file) + move) % (1 << 64), len(block) if claimed is None else claimed)
            file += bytes(block)
        footer = handles + struct.pack("<I", self.version)
        return file + footer + struct.pack("<I", _core.crc32c_mask(_core.crc32c(footer))) + b"lsmtable"


def spoil(**changes):
    def apply(crafted):
        for name, value in changes.items():
            if name in crafted.counts:
                crafted.counts[name] = value
            else:
                setattr(crafted, name, value)
    return apply


def block_of(*entries, **options):
    return sealed(_core._block_build(entries, **options))


FIRST = block_of((b"a", 1, PUT, b"1"), (b"b", 2, PUT, b"2"))

REFUSED_AT_OPEN = {
    "entries none": spoil(entries=0),
    "more tombstones than entries": spoil(tombstones=5),
    "more blocks than entries": spoil(blocks=5),
    "blocks none": spoil(blocks=0),
    "blocks beyond number": spoil(entries=1 << 63, blocks=1 << 62),
    "fewer blocks than the index": spoil(blocks=1),
    "more blocks than the index": spoil(blocks=3),
    "data bytes elsewhere": spoil(data_bytes=17),
    "sequences turned round": spoil(min_sequence=9),
    "sequence of more than 56 bits": spoil(max_sequence=1 << 56),
    "smallest after largest": spoil(smallest=b"z"),
    "largest is not the last separator": spoil(largest=b"e"),
    "properties with a tail": spoil(properties_tail=b"x"),
    "key in properties over the limit": spoil(largest=b"d" * 65536),
    "filter elsewhere": spoil(move=(1, 0, 0)),
    "index elsewhere": spoil(move=(0, -1, 0)),
    "properties elsewhere": spoil(move=(0, 0, 1 << 63)),
    "filter without a trailer": spoil(claimed=(4, None, None)),
    "index larger than any block": spoil(claimed=(None, (256 << 20) + 10, None)),
    "properties larger than the file": spoil(claimed=(None, None, 1 << 20)),
    "properties of a size that wraps": spoil(claimed=(None, None, (1 << 64) - 1)),
    "filter of half a line": spoil(filter=bytes(32) + b"\x07"),
    "filter without probes": spoil(filter=bytes(64) + b"\x00"),
    "filter of too many probes": spoil(filter=bytes(64) + b"\xff"),
    "filter of one byte": spoil(filter=b"\x07"),
    "separators descend": spoil(separators=[b"d", b"b"]),
    "index empty": spoil(index=b"\0"),
    "index with a tail": spoil(index=b"\1b" + varint(0) + varint(len(FIRST)) + b"\1d" + varint(len(FIRST))
                               + varint(len(FIRST)) + b"x"),
    "index with a gap": spoil(index=b"\1b" + varint(0) + varint(9) + b"\1d" + varint(10) + varint(9)),
    "index of a huge block": spoil(index=b"\1b" + varint(0) + varint(1 << 40) + b"\1d" + varint(1 << 40) + b"\x09"),
    "index of sizes that wrap": spoil(index=b"\1b" + varint(0) + varint((1 << 64) - 1) + b"\1d\0\0" + bytes(9)),
    "index of a block past the data": spoil(index=b"\1b" + varint(0) + varint(len(FIRST)) + b"\1d" + varint(len(FIRST))
                                            + varint(len(FIRST) + 1)),
    "index of a block without contents": spoil(index=b"\1b" + varint(0) + varint(5) + b"\1d" + varint(5) + varint(9)),
    "index ends within an offset": spoil(index=b"\1b" + varint(0) + varint(len(FIRST)) + b"\1d\x80"),
    "index ends within a size": spoil(index=b"\1b" + varint(0) + varint(len(FIRST)) + b"\1d" + varint(len(FIRST)) + b"\x80"),
    "index ends within a number": spoil(index=b"\1b" + varint(0) + varint(len(FIRST)) + b"\x80\x80"),
    "index key over the limit": spoil(index=varint(65536) + b"b" * 65536 + varint(0) + varint(len(FIRST)) + b"\1d"
                                      + varint(len(FIRST)) + varint(len(FIRST))),
    "index key past its end": spoil(index=b"\x7fb" + varint(0) + varint(9) + b"\1d" + varint(9) + varint(9)),
}
if "lz4" in _core.compressions:
    REFUSED_AT_OPEN["index claiming 200 MiB of 20 bytes"] = spoil(
        index=bytearray(sealed(struct.pack("<I", 200 << 20) + bytes(20), 1)))


@pytest.mark.parametrize("name", REFUSED_AT_OPEN)
def test_crafted_file_refused_at_open(directory, path, name):
    crafted = Crafted()
    REFUSED_AT_OPEN[name](crafted)
    path.write_bytes(crafted.bytes())
    with pytest.raises(CorruptionError) as caught:
        open_table(directory, NAME)
    assert caught.value.path.endswith(NAME) and 0 <= caught.value.offset <= len(crafted.bytes())


def test_properties_cut_to_any_length_are_refused(directory, path):
    whole = 80 + 16 + 4 + 1 + 4 + 1
    for size in range(whole):
        crafted = Crafted()
        crafted.properties_size = size
        path.write_bytes(crafted.bytes())
        with pytest.raises(CorruptionError, match="properties: wrong size"):
            open_table(directory, NAME)
    crafted.properties_size = whole
    path.write_bytes(crafted.bytes())
    assert len(open_table(directory, NAME).entries_list()) == 4


def test_the_crafted_file_is_a_table(directory, path):
    path.write_bytes(Crafted().bytes())
    table = open_table(directory, NAME, number=3, database_id=DATABASE)
    assert [entry[0] for entry in table.entries_list()] == [b"a", b"b", b"c", b"d"]
    assert table.verify(_core.crc32c(path.read_bytes())) == (len(path.read_bytes()), 5, 4)


REFUSED_BY_VERIFY = {
    "entries miscounted": spoil(entries=5),
    "tombstones miscounted": spoil(tombstones=1),
    "key bytes miscounted": spoil(key_bytes=5),
    "value bytes miscounted": spoil(value_bytes=5),
    "smallest sequence wrong": spoil(min_sequence=0),
    "largest sequence wrong": spoil(max_sequence=5),
    "smallest key wrong": spoil(smallest=b"A"),
    "largest key wrong": spoil(largest=b"e", separators=[b"b", b"e"]),
    "separator too small": spoil(separators=[b"a", b"d"]),
    "separator too large": spoil(separators=[b"c", b"d"]),
    "blocks swapped": lambda crafted: crafted.blocks.reverse(),
    "the same block twice": lambda crafted: crafted.blocks.__setitem__(1, crafted.blocks[0]),
    "keys missing from the filter": spoil(filter=bytes(64) + b"\x07"),
    "restart point within an entry": lambda crafted: crafted.blocks.__setitem__(0, sealed(
        b"\0\1\1\x81\2a1" + b"\0\1\1\x81\4b2" + struct.pack("<III", 0, 3, 2))),
}


@pytest.mark.parametrize("name", REFUSED_BY_VERIFY)
def test_crafted_file_refused_by_verify(directory, path, name):
    crafted = Crafted()
    REFUSED_BY_VERIFY[name](crafted)
    path.write_bytes(crafted.bytes())
    table = open_table(directory, NAME)
    with pytest.raises(CorruptionError) as caught:
        table.verify(_core.crc32c(path.read_bytes()))
    assert caught.value.path.endswith(NAME) and caught.value.detail


REFUSED_BLOCKS = {
    "smaller than a frame": sealed(b"123"),
    "restart count too large": sealed(b"\0\1\1\x81\2a1" + struct.pack("<II", 0, 1 << 30)),
    "shares more than there was": sealed(b"\0\1\1\x81\2a1\5\1\1\x81\4b2" + struct.pack("<II", 0, 1)),
    "keys descend": block_of((b"b", 2, PUT, b"2"), (b"a", 1, PUT, b"1")),
    "compressed, without a size": sealed(b"12", 1),
    "claims 4 GiB": sealed(struct.pack("<I", 0xFFFFFFFF) + b"123456", 1),
    "claims 256 MiB of 6 bytes": sealed(struct.pack("<I", 1 << 28) + b"123456", 1),
    "claims more than it holds": sealed(struct.pack("<I", 100) + b"123456", 1),
    "claims 256 MiB of zstd in 6 bytes": sealed(struct.pack("<I", 1 << 28) + b"123456", 2),
    "claims a large block of garbage": sealed(struct.pack("<I", 100_000) + bytes(range(256)) * 40, 1),
    "zstd of a large block of garbage": sealed(struct.pack("<I", 100_000) + bytes(range(256)) * 40, 2),
    "zstd garbage": sealed(struct.pack("<I", 100) + b"123456", 2),
}


@pytest.mark.parametrize("name", REFUSED_BLOCKS)
def test_crafted_block_refused_when_read(directory, path, name):
    if name.startswith(("c", "z")) and len(_core.compressions) < 3:
        pytest.skip("a build without compression refuses these as unsupported")
    crafted = Crafted()
    crafted.blocks[0] = REFUSED_BLOCKS[name]
    path.write_bytes(crafted.bytes())
    table = open_table(directory, NAME)
    for read in (table.entries_list, lambda: table.entries_list(reverse=True), lambda: table.entries_list(scan=True),
                 table.verify, lambda: table.cursor().seek(b"b", 0)):
        with pytest.raises(CorruptionError) as caught:
            read()
        assert caught.value.path.endswith(NAME) and caught.value.offset == 0
    assert table.get(b"c") == (3, PUT, b"3")


def test_a_run_longer_than_the_limit_is_refused_backwards_and_by_verify(directory, path):
    crafted = Crafted()
    long = _core._block_build([(b"a%06d" % n, 1, PUT, b"") for n in range(1500)], 1024)
    crafted.blocks[0] = sealed(long[:-12] + struct.pack("<II", 0, 1))
    path.write_bytes(crafted.bytes())
    table = open_table(directory, NAME)
    for read in (lambda: table.entries_list(reverse=True), table.verify):
        with pytest.raises(CorruptionError, match="restart point"):
            read()


def test_a_newer_format_says_so(directory, path):
    crafted = Crafted()
    crafted.version = 2
    path.write_bytes(crafted.bytes())
    with pytest.raises(VersionError, match="format version 2.*newer lsm"):
        open_table(directory, NAME)


def test_a_compression_this_build_lacks_says_so(directory, path):
    crafted = Crafted()
    crafted.blocks[0] = sealed(struct.pack("<I", 100) + b"123456", 77)
    path.write_bytes(crafted.bytes())
    with pytest.raises(UnsupportedError, match="id 77.*lacks"):
        open_table(directory, NAME).get(b"a")
