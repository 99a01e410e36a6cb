"""Salvage and verify of what was made to mislead: values that hold the likeness of records, files that are only long, batches in
batches; and of a disk that does not give back a sector. The reproductions of faults that a review found."""
import errno
import os
import shutil
import struct
from types import SimpleNamespace

import lsm
import pytest
from lsm import _pycore
from lsm._chosen import core
from lsm.salvaging import hashed, tree
from lsm.tree import framed

ENGINES = ["lsm", "hashlog"]
FORGED = 1000           # a sequence that no write has reached


def log_record(number, sequence, key, value):
    payload = bytes([1, len(key), len(value)]) + key + value
    return sealed(struct.pack("<IIIQQQ", len(payload), number, 1, sequence, 0, 0) + payload)


def data_record(number, sequence, key, value, place=0):
    return sealed(struct.pack("<IIHBBQQII", len(value), number, len(key), 1, place, sequence, 0, 1, 0) + key + value)


def sealed(body):
    body = body.ljust((4 + len(body) + 7) // 8 * 8 - 4, b"\0")
    return struct.pack("<I", core.crc32c_mask(core.crc32c(body))) + body


def aligned(engine, key, inside, filler=64):
    """A value that has `inside` at a multiple of eight of the file."""
    head = 40 + (1 + 1 + 2 if engine == "lsm" else 0) + len(key)
    return b"A" * (-head % 8 + filler) + inside + b"A" * 64


def database(tmp_path, engine, rows, closed=False, **options):
    """A copy of a database with these rows, with its live log or closed, and its newest log or data file."""
    with lsm.open(tmp_path / "made", engine=engine, **options) as db:
        for key, value in rows:
            db.put(key, value, sync=True)
        if not closed:
            shutil.copytree(tmp_path / "made", tmp_path / "db")
    if closed:
        shutil.copytree(tmp_path / "made", tmp_path / "db")
    return max((tmp_path / "db").glob("*.log" if engine == "lsm" else "*.data"), default=None)


def flip(file, at, bits=1):
    data = bytearray(file.read_bytes())
    data[at] ^= bits
    file.write_bytes(data)


def rescued(tmp_path, **options):
    told = lsm.salvage(tmp_path / "db", tmp_path / "out", **options)
    with lsm.open(tmp_path / "out", engine=lsm.engine_at(tmp_path / "out"), read_only=True) as db:
        return told, dict(db.items())


def likeness(engine):
    """A value with two records in it that nobody wrote."""
    record = log_record if engine == "lsm" else data_record
    number = 2 if engine == "lsm" else 1
    return aligned(engine, b"upload", record(number, FORGED, b"admin", b"mallory") + record(number, FORGED + 1, b"never", b"x"))


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_likeness_of_a_record_in_a_damaged_value_is_not_taken_for_one(tmp_path, engine, closed):
    if engine == "lsm" and closed:
        pytest.skip("a closed tree has no log")
    file = database(tmp_path, engine, [(b"admin", b"alice"), (b"upload", likeness(engine)), (b"later", b"1")], closed)
    flip(file, file.read_bytes().index(b"upload") + 10)
    told, rows = rescued(tmp_path)
    assert rows == {b"admin": b"alice", b"later": b"1"}
    assert any(error.keys for error in told.damage)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_found_behind_a_record_that_does_not_say_where_it_ends_is_in_doubt(tmp_path, engine):
    """It may be the likeness of one: so nothing at all is certain."""
    file = database(tmp_path, engine, [(b"admin", b"alice"), (b"upload", likeness(engine)), (b"later", b"1")])
    at = file.read_bytes().index(b"upload") - (4 if engine == "lsm" else 0) - 40
    flip(file, at + 6, 0xFF)                                    # its size
    told, rows = rescued(tmp_path)
    assert told.doubtful == len(rows) and rows[b"later"] == b"1"
    shutil.rmtree(tmp_path / "out")
    assert rescued(tmp_path, doubtful=False)[1] == {}


def test_the_likeness_of_a_record_does_not_make_up_for_a_lost_one(tmp_path):
    """Without the hint the number of records was right again, and the loss was called none."""
    file = database(tmp_path, "hashlog", [(b"a", b"1"), (b"upload", likeness("hashlog")), (b"z", b"1")], closed=True)
    file.with_suffix(".hint").unlink()
    flip(file, file.read_bytes().index(b"upload") - 40 + 6, 0xFF)
    told, rows = rescued(tmp_path)
    assert told.doubtful == len(rows) and [error.keys for error in told.damage if error.keys]


@pytest.mark.parametrize("engine", [*ENGINES, "pylsm"])
def test_a_value_full_of_heads_that_claim_all_that_follows_ends_the_search(tmp_path, engine):
    """Each of them was summed: opening, verify and salvage took time in the square of its size."""
    size, number = 1 << 20, 1 if engine == "hashlog" else 2
    heads = b"".join(struct.pack("<II", number, (size - at) // 2) for at in range(0, size, 8))
    kind = "hashlog" if engine == "hashlog" else "lsm"
    file = database(tmp_path, kind, [(b"a", b"1"), (b"u", aligned(kind, b"u", heads, 0)), (b"z", b"1")])
    flip(file, file.read_bytes().index(struct.pack("<II", number, size // 2)) - 20 - len(b"u"), 0xFF)
    with pytest.raises(lsm.CorruptionError):
        lsm.open(tmp_path / "db", engine=engine, read_only=True, create=False)
    told, rows = rescued(tmp_path)
    assert rows[b"a"] == b"1" and told.damage


def test_a_batch_in_a_batch_is_nothing_that_was_written(tmp_path):
    inner = data_record(1, 5, b"", b"")
    for _ in range(1500):
        inner = data_record(1, 5, b"", inner, place=2)
    file = database(tmp_path, "hashlog", [(b"a", b"1"), (b"b", b"2")])
    data = file.read_bytes()
    at = data.rindex(b"b2") // 8 * 8 + 8
    file.write_bytes(data[:at] + inner)
    assert lsm.verify(tmp_path / "db").damage
    told, rows = rescued(tmp_path)
    assert rows == {b"a": b"1", b"b": b"2"} and told.damage


def lose_sector(patch, file, at):
    """The disk does not give back byte `at` of the file."""
    genuine, where = os.pread, file.stat().st_ino

    def pread(descriptor, size, offset):
        if os.fstat(descriptor).st_ino == where and offset <= at < offset + size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return genuine(descriptor, size, offset)

    patch.setattr(os, "pread", pread)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sector_that_cannot_be_read_costs_what_stood_in_it(tmp_path, engine, monkeypatch):
    database(tmp_path, engine, [], closed=True)
    with lsm.open(tmp_path / "db", engine=engine) as db:
        db.write_many((b"k%05d" % number, b"v%d" % number * 20) for number in range(5000))
    file = max((tmp_path / "db").glob("*.table" if engine == "lsm" else "*.data"), key=lambda file: file.stat().st_size)
    with monkeypatch.context() as patch:
        lose_sector(patch, file, 65536)
        told, rows = rescued(tmp_path)
    assert 4500 < len(rows) < 5000 and not told.doubtful
    assert all(rows[key] == b"v%d" % int(key[1:]) * 20 for key in rows)
    assert [note for note in told.notes if "does not give back bytes 65536 to 69631" in note]
    assert all(any(low <= b"k%05d" % number <= high for low, high in (error.keys for error in told.damage if error.keys))
               for number in range(5000) if b"k%05d" % number not in rows)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sector_that_cannot_be_read_does_not_look_like_the_end(tmp_path, engine, monkeypatch):
    """Zeros behind the last whole record are the room that was made ready: the older value was called certain."""
    file = database(tmp_path, engine, [(b"k", b"old"), (b"pad", b"p" * 8100), (b"k", b"new" * 300)])
    assert file.read_bytes().rindex(b"new" * 300) > 8192
    with monkeypatch.context() as patch:
        lose_sector(patch, file, 8192)
        patch.setattr(tree, "recovery", SimpleNamespace(replay=refuse))
        patch.setattr(hashed, "HashLog", refuse)
        told = lsm.salvage(tmp_path / "db", tmp_path / "out")
    assert told.doubtful == told.rows >= 1 and [error for error in told.damage if "not give back" in error.detail]


def refuse(*_, **__):
    raise OSError(errno.EIO, os.strerror(errno.EIO))        # as opening would


def test_a_damaged_size_costs_the_plain_core_no_more_than_the_compiled_one():
    """What it claimed was charged though nothing was summed, and the search ended at once."""
    data = bytearray(64) + b"".join(log_record(7, at, b"k%d" % at, b"v" * 120) for at in range(1, 400))
    data[64 + 6] ^= 0x20
    for each in (core, _pycore):
        found = list(framed.whole_records(each, bytes(data), 7, framed.LOG, 64))
        assert len(found) == 398 and not any(record.led for record in found)


def test_verify_lists_what_cannot_be_read_and_goes_on():
    report = lsm.Report()
    report.note(lambda: (_ for _ in ()).throw(lsm.StorageError(errno.EIO, "Input/output error", "000001.table")))
    report.note(lambda: (3, 100, []))
    error, = report.damage
    assert (error.path, error.keys, report.files, report.blocks) == ("000001.table", (None, None), 2, 3)
    with pytest.raises(lsm.StorageError):
        report.note(lambda: (_ for _ in ()).throw(lsm.StorageError(errno.EMFILE, "Too many open files", "x")))


@pytest.mark.parametrize("name", ["CURRENT", "table"])
def test_a_file_that_is_only_long_takes_no_memory(tmp_path, name):
    """100 GiB of nothing were read."""
    database(tmp_path, "lsm", [(b"a", b"1")], closed=True)
    file, = [file for file in (tmp_path / "db").iterdir() if file.name.endswith(name)]
    os.truncate(file, 100 << 30)
    told, rows = rescued(tmp_path)
    assert rows == {b"a": b"1"} and told.damage


def test_headers_that_are_not_whole_do_not_say_which_database_it_is(tmp_path):
    """Two of three were zeroed and HASHLOG lost: zeros won, and the whole file was refused as another database's."""
    database(tmp_path, "hashlog", [(b"key %d" % number, b"v" * 1500) for number in range(7)], closed=True, file_bytes=4096)
    files = sorted((tmp_path / "db").glob("*.data"))
    assert len(files) > 2
    for file in files[:-1]:
        file.write_bytes(bytes(64) + file.read_bytes()[64:])
    (tmp_path / "db" / "HASHLOG").unlink()
    told, rows = rescued(tmp_path)
    assert len(rows) == 7 == told.doubtful


@pytest.mark.parametrize("make", ["salvage", "convert"])
def test_a_copy_is_as_private_as_every_database(tmp_path, make):
    """It had been made for everybody to read."""
    database(tmp_path, "lsm", [(b"a", b"1")], closed=True)
    if make == "salvage":
        lsm.salvage(tmp_path / "db", tmp_path / "out")
    else:
        lsm.convert(tmp_path / "db", tmp_path / "out", engine="hashlog")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
