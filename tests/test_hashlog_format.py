"""Format 1 of a hashlog for ever: the kept files open, the page's example is what they hold, and what the engine writes is what
the page says, by another implementation of it (hashlog_reference.py).

`python tests/test_hashlog_format.py` writes the golden files anew: only for a new format version, into a new folder.
"""
import os
import pathlib
import random
import re
import shutil

import hashlog_reference as reference
import lsm
import pytest
from lsm import _core
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.database import HashLog
from lsm.errors import CorruptionError, VersionError

GOLDEN = pathlib.Path(__file__).parent / "data" / "v1" / "hashlog"
PAGE = pathlib.Path(__file__).parent.parent / "docs" / "format-hashlog.md"
DATABASE = bytes(range(16))


def example():
    """The files of the page's example, written now."""
    directory = _core.SimulatedDirectory()
    directory.clock = 0x1000 * 1_000_000
    genuine, os.urandom = os.urandom, lambda size: DATABASE[:size]
    try:
        db = HashLog("/simulated", _directory=directory, _background=False)
    finally:
        os.urandom = genuine
    db.put(b"kenya", b"Nairobi", sync=True)
    db.write([(b"kigali", b"Rwanda"), (b"kenya", None)])
    db.close()
    return {name: data for name, data in directory.files().items() if name != "LOCK"}


def test_the_golden_files_open_and_hold_what_was_written(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "db")
    with lsm.open(tmp_path / "db", engine="hashlog") as db:
        assert dict(db.items()) == {b"kigali": b"Rwanda"}
        assert db.verify().ok and db._sequence == 3


def test_the_same_writes_give_the_same_bytes():
    assert example() == {file.name: file.read_bytes() for file in GOLDEN.iterdir()}


def test_the_example_of_the_page_is_these_bytes():
    """Each line of the page's listing: its offset, then bytes in hex, in groups; then what they are."""
    listings = re.findall(r"```\n([0-9a-f]{4} .*?)```", PAGE.read_text(), re.DOTALL)
    assert len(listings) == 2
    for listing, name in zip(listings, ("000001.data", "000001.hint"), strict=True):
        data, told = (GOLDEN / name).read_bytes(), b""
        for line in listing.splitlines():
            offset, rest = re.fullmatch(r"([0-9a-f]{4})  ((?:(?:[0-9a-f]{2})+ ?)+?)(?:  .*)?", line).groups()
            assert int(offset, 16) == len(told), line
            told += bytes.fromhex(rest)
        assert told == data
    assert (GOLDEN / "HASHLOG").read_text() in PAGE.read_text()


def test_what_is_written_is_what_the_page_says(tmp_path):
    rng = random.Random("written")
    directory = _core.SimulatedDirectory()
    genuine, os.urandom = os.urandom, lambda size: DATABASE[:size]
    try:
        db = HashLog("/simulated", _directory=directory, _background=False)
    finally:
        os.urandom = genuine
    expected = reference.header(b"lsm.data", 1, DATABASE)
    sequence = synced = 0
    for _ in range(60):
        pairs = [(rng.randbytes(rng.randrange(12)), rng.choice([None, rng.randbytes(rng.randrange(60))]))
                 for _ in range(rng.choice((1, 1, 2, 5)))]
        directory.clock = 5_000_000
        sync = rng.random() < 0.2
        db.write(pairs, sync=sync)
        expected += (reference.record(*pairs[0], 1, sequence + 1, synced, 5) if len(pairs) == 1
                     else reference.batch(pairs, 1, sequence + 1, synced, 5))
        sequence += len(pairs)
        synced = sequence if sync else synced
    db.close()
    files = directory.files()
    assert files["000001.data"] == expected
    assert files["000001.hint"] == reference.hint(expected, 1, DATABASE)
    body = {"database_id": DATABASE.hex(), "last_sequence": sequence, "next_file": 2, "open": [],
            "options": {"block_cache_bytes": 67108864, "file_bytes": 67108864, "merge_dead_ratio": 0.5},
            "files": [{"number": 1, "size": len(expected), "records": sequence, "min_sequence": 1, "max_sequence": sequence}]}
    assert files["HASHLOG"] == reference.marker(body)


BODY = {"database_id": DATABASE.hex(), "last_sequence": 9, "next_file": 5, "open": [4],
        "options": {"block_cache_bytes": 0, "file_bytes": 4096, "merge_dead_ratio": 1},
        "files": [{"number": 2, "size": 104, "records": 1, "min_sequence": 1, "max_sequence": 9}]}


def test_hashlog_comes_back_as_it_was():
    state = manifest.decode(reference.marker(BODY), "HASHLOG")
    assert manifest.encode(state) == reference.marker(BODY)


@pytest.mark.parametrize("wrong", [
    {"database_id": "zz" * 16}, {"database_id": "00"}, {"last_sequence": 8}, {"last_sequence": -1}, {"next_file": 4},
    {"next_file": 1 << 32}, {"next_file": True}, {"open": [2]}, {"open": [4, 3]}, {"open": ["4"]}, {"open": 4}, {"files": {}},
    {"files": BODY["files"] * 2}, {"files": [{**BODY["files"][0], "size": 10}]}, {"files": [{"number": 2}]},
    {"files": [{**BODY["files"][0], "min_sequence": 10}]}, {"options": {}}, {"options": {**BODY["options"], "file_bytes": 1}},
    {"more": 1},
], ids=lambda wrong: str(wrong)[:40])
def test_a_hashlog_file_that_says_what_cannot_be_is_refused(wrong):
    with pytest.raises(CorruptionError):
        manifest.decode(reference.marker({**BODY, **wrong}), "HASHLOG")


def test_a_newer_format_is_a_version_error():
    text = reference.marker(BODY).split(b"\n", 1)[1]
    start = b"lsm-hashlog 2 "
    with pytest.raises(VersionError, match="newer"):
        manifest.decode(start + b"%08x\n" % reference.masked(start + text) + text, "HASHLOG")


def test_names_are_taken_strictly():
    assert manifest.numbered("000001.data") == (1, "data") and manifest.numbered("1234567.hint") == (1234567, "hint")
    for name in ("1.data", "0000001.data", "000001.log", "000001.data.tmp", "x000001.data", "000001.DATA"):
        assert manifest.numbered(name) is None
    assert manifest.foreign(["HASHLOG", "HASHLOG.tmp", "LOCK", "000001.data", "000001.hint", "CURRENT"]) == ["CURRENT"]


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, data in example().items():
        (GOLDEN / name).write_bytes(data)
