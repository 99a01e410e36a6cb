"""Files that change under an open database, with checksums that are right or not: what is then read is an error, never another row.

What a database has read at opening (footers, indexes, hints) it believes; each record or block that it reads later is held
against that.
"""
import os
import struct

import hashlog_reference as reference
import lsm
import pytest
from lsm import CorruptionError
from lsm.engines.hashlog.database import HashLog

KEYS = [b"key %d" % n for n in range(8)]


@pytest.fixture
def hashlog(path):
    """Closed and opened again: rows are found by the hint, and none is read yet."""
    with lsm.open(path, engine="hashlog") as db:
        db.write_many([(key, b"value of " + key) for key in KEYS])
        db.put(b"alone", b"1" * 20)
        db.put(b"other", b"2" * 20)
    with HashLog(path, _background=False, block_cache_bytes=0) as db:
        yield db


def records(db):
    """The one data file, and {key: (offset, bytes)} of its records outside of batches."""
    place = os.path.join(db.path, "000001.data")
    with open(place, "rb") as file:
        data = file.read()
    starts = [(at, key) for at, where, _, key, *_ in reference.records(data) if where == reference.ALONE]
    ends = [at for at, _ in starts[1:]] + [len(data)]
    return place, {key: (at, data[at:end]) for (at, key), end in zip(starts, ends)}


def overwrite(place, at, data):
    with open(place, "r+b") as file:
        file.seek(at)
        file.write(data)


def sealed(record):
    return struct.pack("<I", reference.masked(record[4:])) + record[4:]


def test_another_record_in_its_place(hashlog):
    place, found = records(hashlog)
    overwrite(place, found[b"alone"][0], found[b"other"][1])
    for read in (lambda: hashlog[b"alone"], lambda: hashlog.multi_get([b"alone"]), lambda: list(hashlog.scan())):
        with pytest.raises(CorruptionError, match="another record"):
            read()
    assert hashlog[b"other"] == b"2" * 20


def test_a_record_that_says_what_no_version_wrote(hashlog):
    place, found = records(hashlog)
    at, record = found[b"alone"]
    for offset, byte in ((14, 9), (15, reference.BATCH)):           # its kind, its place
        overwrite(place, at, sealed(record[:offset] + bytes([byte]) + record[offset + 1:]))
        with pytest.raises(CorruptionError) as caught:
            hashlog[b"alone"]
        assert caught.value.path.endswith("000001.data") and caught.value.offset == at
    overwrite(place, at, record)
    assert hashlog[b"alone"] == b"1" * 20


def test_a_file_that_became_shorter(hashlog):
    place, found = records(hashlog)
    os.truncate(place, found[b"other"][0] + 8)
    with pytest.raises(CorruptionError, match="ends before a record"):
        hashlog[b"other"]


@pytest.mark.parametrize("field, at, form", [("version", 12, "<I"), ("number", 16, "<Q"), ("database", 24, "<Q"), ("size", 40, "<Q")])
def test_a_hint_of_another_file_is_not_used(hashlog, path, caplog, field, at, form):
    expected = dict(hashlog.items())
    hashlog.close()
    hint = os.path.join(path, "000001.hint")
    with open(hint, "rb") as file:
        data = bytearray(file.read())
    struct.pack_into(form, data, at, struct.unpack_from(form, data, at)[0] + 1)
    struct.pack_into("<I", data, 8, reference.masked(data[12:]))
    overwrite(hint, 0, data)
    with lsm.open(path, engine="hashlog") as db:
        assert dict(db.items()) == expected
    assert "is not used" in caplog.text


@pytest.mark.parametrize("engine", ["lsm", "pylsm"])
def test_a_block_of_a_table_that_becomes_damaged_is_told_by_every_read(path, engine):
    rows = {b"key %03d" % n: b"value %d" % n * 4 for n in range(200)}
    with lsm.open(path, engine=engine, block_bytes=256, compression="none", block_cache_bytes=0) as db:
        db.write_many(rows)
        db.flush()
        (table,) = (name for name in os.listdir(path) if name.endswith(".table"))
        with open(os.path.join(path, table), "rb") as file:
            data = file.read()
        at = data.index(b"value 100")
        overwrite(os.path.join(path, table), at, b"W")
        db.put(b"key 000", b"newer")                        # in the memtable: not looked for below
        hurt = next(key for key in rows if key >= b"key 100")
        for read in (lambda: db[hurt], lambda: db.multi_get(sorted(rows)), lambda: list(db.scan()),
                     lambda: list(db.scan(reverse=True)), lambda: list(db.scan_chunks())):
            with pytest.raises(CorruptionError) as caught:
                read()
            assert caught.value.path.endswith(table)
        assert db.multi_get([b"key 000", b"key 001", b"key 199"]) == [b"newer", rows[b"key 001"], rows[b"key 199"]]
        overwrite(os.path.join(path, table), at, data[at:at + 1])
        assert db.multi_get(list(rows)[1:]) == list(rows.values())[1:]
