"""Format 1 of table files for ever: the kept file opens, and writing the same entries gives the same bytes.

`python tests/test_table_golden.py` writes the file anew: only for a new format version, into a new folder.
"""
import pathlib
import shutil
import sys

import pytest
from table_files import DATABASE, DELETE, PUT, open_table, sort_entries, write_table

from lsm import _core
from lsm.errors import UnsupportedError

GOLDEN = pathlib.Path(__file__).parent / "data" / "v1" / "000042.table"
ENTRIES = sort_entries([(b"", 1, PUT, b"the empty key"), (b"empty value", 2, PUT, b""), (b"\0\xff", 3, DELETE, b"")]
                       + [(b"city:%04d" % n, 100 + n, PUT, b"value %d " % n * (n % 5)) for n in range(60)]
                       + [(b"city:%04d" % n, 50 + n, DELETE if n % 2 else PUT, b"") for n in range(0, 60, 7)]
                       + [(b"many", n, PUT, b"version %d" % n) for n in range(1, 40)])
OPTIONS = {"block_bytes": 256, "restart_interval": 4, "bits_per_key": 10, "number": 42, "created": 1_700_000_000_000_000}


def test_the_golden_file_opens_and_holds_what_was_written(tmp_path):
    shutil.copy(GOLDEN, tmp_path / GOLDEN.name)
    directory = _core.Directory(str(tmp_path))
    table = open_table(directory, GOLDEN.name, number=42, database_id=DATABASE, size=GOLDEN.stat().st_size)
    assert table.entries_list() == ENTRIES and table.entries_list(reverse=True) == ENTRIES[::-1]
    assert all(table.get(key, sequence) == (sequence, kind, value) for key, sequence, kind, value in ENTRIES)
    table.verify(_core.crc32c(GOLDEN.read_bytes()))


def test_the_same_entries_give_the_same_bytes(tmp_path):
    directory = _core.Directory(str(tmp_path / "db"), create=True)
    facts = write_table(directory, GOLDEN.name, ENTRIES, **OPTIONS)
    assert (tmp_path / "db" / GOLDEN.name).read_bytes() == GOLDEN.read_bytes()
    assert facts["crc"] == _core.crc32c(GOLDEN.read_bytes())


@pytest.mark.parametrize("compression", _core.compressions[1:])
def test_golden_files_with_compression_open(tmp_path, compression):
    golden = GOLDEN.with_name(f"{compression}.table")
    shutil.copy(golden, tmp_path / golden.name)
    table = open_table(_core.Directory(str(tmp_path)), golden.name)
    assert table.entries_list() == ENTRIES
    table.verify(_core.crc32c(golden.read_bytes()))


@pytest.mark.parametrize("compression", sorted({"lz4", "zstd"} - set(_core.compressions)) or [None])
def test_golden_files_of_a_missing_compression_say_so(tmp_path, compression):
    if compression is None:
        pytest.skip("this build lacks none")
    shutil.copy(GOLDEN.with_name(f"{compression}.table"), tmp_path)
    with pytest.raises(UnsupportedError, match=compression):
        open_table(_core.Directory(str(tmp_path)), f"{compression}.table").entries_list()


def test_the_example_of_the_format_page(tmp_path):
    directory = _core.Directory(str(tmp_path / "db"), create=True)
    entries = [(b"kenya", 3, PUT, b"Nairobi"), (b"kenya", 1, DELETE, b""), (b"kigali", 2, PUT, b"Rwanda")]
    write_table(directory, "000001.table", entries, number=1, created=0x1000)
    file = (tmp_path / "db" / "000001.table").read_bytes()
    for at, part in [(0, b"\x00\x05\x07\x81\x06kenyaNairobi"), (0x11, b"\x05\x00\x00\x80\x02"),
                     (0x16, b"\x01\x05\x06\x81\x04igaliRwanda"), (0x26, bytes.fromhex("0000000001000000005f3e3d12")),
                     (0x73, bytes.fromhex("0700bc22ffc5")), (0x79, b"\x06kigali\x00\x33"),
                     (0x87, b"\x03\0\0\0\0\0\0\0\x01"), (0xFA, bytes.fromhex("007665fd6d")), (0xFF, b"\x33"),
                     (0x10F, b"\x79"), (0x11F, b"\x87"), (0x12F, bytes.fromhex("01000000c859a8e3") + b"lsmtable")]:
        assert file[at:at + len(part)] == part, hex(at)
    assert len(file) == 0x13F


if __name__ == "__main__":
    folder = _core.Directory(sys.argv[1], create=True)
    write_table(folder, GOLDEN.name, ENTRIES, **OPTIONS)
    for compression in _core.compressions[1:]:
        write_table(folder, f"{compression}.table", ENTRIES, compression=compression, **(OPTIONS | {"block_bytes": 2048}))
