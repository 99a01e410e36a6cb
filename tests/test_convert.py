"""`lsm.convert`: every durable engine into every other; and nothing at the destination when it fails."""
import pytest
from engines import DURABLE, OPTIONS

import lsm
from lsm import conversion

ROWS = [(b"", b"empty"), (b"\0", b""), *((b"%05d" % number, bytes([number % 256]) * (number % 200)) for number in range(9000))]


@pytest.fixture
def source(path):
    with lsm.open(path) as db:
        db.write_many(ROWS)
        db[b"zz"] = b"deleted"
        db.flush()
        db.delete(b"zz")
    return path


@pytest.mark.parametrize("engine", DURABLE)
def test_into_every_engine_and_back(source, tmp_path, engine):
    there, back = tmp_path / "there", tmp_path / "back"
    converted = lsm.convert(source, there, engine=engine, **OPTIONS.get(engine, {}))
    assert (converted.rows, converted.bytes) == (len(ROWS), sum(len(key) + len(value) for key, value in ROWS))
    with lsm.open(there, engine=engine, create=False) as db:
        assert list(db.scan()) == ROWS and db.verify().ok
    assert lsm.convert(there, back, engine="lsm", source_engine=engine).rows == len(ROWS)
    with lsm.open(back, create=False) as db:
        assert list(db.scan()) == ROWS
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["back", "db", "there"]


def test_progress_tells_each_step(source, tmp_path):
    told = []
    lsm.convert(source, tmp_path / "copy", engine="lsm", progress=lambda *step: told.append(step))
    count = len(ROWS)
    assert told == [
        ("count", 0, None), ("copy", 0, count), ("copy", 4096, count), ("copy", 8192, count), ("copy", count, count),
        ("verify", 0, count), ("verify", 4096, count), ("verify", 8192, count), ("verify", count, count)]


def test_an_empty_database_into_an_empty_directory(tmp_path):
    lsm.open(tmp_path / "a").close()
    (tmp_path / "b").mkdir()
    assert lsm.convert(tmp_path / "a", tmp_path / "b", engine="lsm").rows == 0
    assert lsm.engine_at(tmp_path / "b") == "lsm"


def test_a_source_in_use_is_copied_as_of_one_moment(db, path, tmp_path):
    db[b"a"] = b"1"
    assert lsm.convert(path, tmp_path / "copy", engine="lsm").rows == 1
    db[b"b"] = b"2"
    with lsm.open(tmp_path / "copy") as copy:
        assert dict(copy) == {b"a": b"1"}


def test_options_are_those_of_the_copy(source, tmp_path):
    lsm.convert(source, tmp_path / "copy", engine="lsm", compression="none", block_bytes=1024)
    with lsm.open(tmp_path / "copy") as db:
        assert (db.options.compression, db.options.block_bytes) == ("none", 1024)


def drop(row):
    def change(rows):
        return [other for other in rows if other != row]
    return change


@pytest.mark.parametrize("change, told", [
    (drop(ROWS[5]), "the key b'00003' is missing"),
    (drop(ROWS[-1]), "the key b'08999' is missing"),
    (lambda rows: [*rows, (b"zzz", b"")], "the key b'zzz' was not in the source"),
    (lambda rows: [*rows, (b"00003x", b"")], "the key b'00003x' was not in the source"),
    (lambda rows: [*rows, (b"00003", b"other")], "the key b'00003' has another value"),
])
def test_a_copy_that_differs_is_an_error_and_removed(source, tmp_path, monkeypatch, change, told):
    honest = lsm.DB.write_many

    def dishonest(db, rows, **how):
        rows = list(rows)
        honest(db, change(rows), **how)
        return len(rows)

    monkeypatch.setattr(lsm.DB, "write_many", dishonest)
    with pytest.raises(lsm.DifferenceError) as raised:
        lsm.convert(source, tmp_path / "copy", engine="lsm")
    assert told in str(raised.value) and raised.value.copy == str(tmp_path / "copy")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db"]


@pytest.mark.parametrize("step", ["_copy", "_compare", "give_name"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, lsm.Error])
def test_whatever_fails_leaves_nothing(source, tmp_path, monkeypatch, step, error):
    def fail(*arguments):
        raise error("now")

    monkeypatch.setattr(conversion, step, fail)
    with pytest.raises(error):
        lsm.convert(source, tmp_path / "copy", engine="lsm")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db"]


def test_a_damaged_source_leaves_nothing(source, tmp_path):
    table = max(source.glob("*.table"), key=lambda file: file.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    with pytest.raises(lsm.CorruptionError):
        lsm.convert(source, tmp_path / "copy", engine="lsm")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db"]


def test_a_key_over_the_limit_of_the_engine_leaves_nothing(path, tmp_path):
    if "btree" not in DURABLE:
        pytest.skip("lmdb is not installed")
    with lsm.open(path) as db:
        db[b"k" * 600] = b""
    with pytest.raises(ValueError, match="510 bytes"):
        lsm.convert(path, tmp_path / "copy", engine="btree")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db"]


def test_a_destination_that_is_taken_is_refused_and_untouched(source, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for name in ("file", "full", "link", "db", "db/new"):
        with pytest.raises(lsm.NotADatabaseError):
            lsm.convert(source, tmp_path / name, engine="lsm")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db", "empty", "file", "full", "link"]
    assert (tmp_path / "full" / "file").read_text() == "mine"
    with pytest.raises(lsm.StorageError):
        lsm.convert(source, tmp_path / "none" / "copy", engine="lsm")


def test_what_a_killed_conversion_left_is_said_and_kept(source, tmp_path):
    (tmp_path / "copy.converting").mkdir()
    with pytest.raises(lsm.StorageError, match="remove this"):
        lsm.convert(source, tmp_path / "copy", engine="lsm")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.converting", "db"]


def test_sources_and_engines_that_are_none_are_refused(source, tmp_path):
    with pytest.raises(lsm.OptionError, match="keeps what is written: 'lsm'"):
        lsm.convert(source, tmp_path / "copy", engine="memory")
    with pytest.raises(lsm.OptionError, match="lsm"):
        lsm.convert(source, tmp_path / "copy", engine="lms")
    with pytest.raises(lsm.NotADatabaseError):
        lsm.convert(tmp_path / "none", tmp_path / "copy", engine="lsm")
    with pytest.raises(lsm.OptionNameError):
        lsm.convert(source, tmp_path / "copy", engine="lsm", blok_bytes=1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db"]
