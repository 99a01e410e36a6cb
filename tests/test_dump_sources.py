"""What `lsm.dump.entries` gives of databases, tables and logs, sound and damaged, also of one that is in use."""
import subprocess
import sys

import pytest
from engines import DURABLE, OPTIONS
from log_reference import entry, log, record
from table_files import DATABASE, DELETE, some_entries, write_table

import lsm
from lsm import _core, dump


def test_a_database_of_every_engine_gives_its_rows(tmp_path):
    rows = [(b"%03d" % number, b"v%d" % number) for number in range(300)]
    for engine in DURABLE:
        path = tmp_path / engine
        with lsm.open(path, engine=engine, **OPTIONS.get(engine, {})) as db:
            db.write_many(rows)
            db.delete(b"007")
        name = engine if lsm.engine_at(path) is None else None
        assert list(dump.entries(path, engine=name)) == [row for row in rows if row[0] != b"007"]


def test_a_database_in_use_is_dumped_without_its_lock(db, path):
    db[b"a"] = b"1"
    db.flush()
    db[b"b"] = b"2"
    assert list(dump.entries(path)) == [(b"a", b"1"), (b"b", b"2")]
    db[b"c"] = b"3"
    log_file, = path.glob("*.log")
    assert list(dump.entries(log_file)) == [(b"b", b"2"), (b"c", b"3")]


def test_a_log_is_given_in_the_order_of_writing(tmp_path):
    file = tmp_path / "000001.log"
    file.write_bytes(log(record(8, entry(b"z", b"1")), record(9, entry(b"a", b"2"), entry(b"z")), record(11, entry(b"a", b""))))
    expected = [(b"z", b"1", 8), (b"a", b"2", 9), (b"z", None, 10), (b"a", b"", 11)]
    assert list(dump.entries(file, versions=True)) == expected
    assert list(dump.entries(file)) == [(key, value) for key, value, _ in expected]
    renamed = file.rename(tmp_path / "renamed")
    assert list(dump.entries(renamed, versions=True)) == expected


def test_a_torn_log_gives_what_was_written_and_says_so(tmp_path, caplog):
    file = tmp_path / "000001.log"
    whole = log(record(1, entry(b"a", b"1")))
    file.write_bytes(whole + record(2, entry(b"b", b"2" * 99))[:-20] + bytes(100))
    assert list(dump.entries(file)) == [(b"a", b"1")]
    assert f"torn at byte {len(whole)}" in caplog.text


def test_a_damaged_log_gives_what_is_before_the_damage(tmp_path):
    file = tmp_path / "000001.log"
    first, second, third = (record(number, entry(b"k%d" % number, b"v")) for number in (1, 2, 3))
    file.write_bytes(log(first, second[:-2] + b"\xff" + second[-1:], third))
    found = []
    with pytest.raises(lsm.CorruptionError) as raised:
        found.extend(dump.entries(file))
    assert found == [(b"k1", b"v")]
    assert (raised.value.path, raised.value.offset) == (str(file), 64 + len(first))


def test_what_a_log_lost_of_what_was_synced_is_damage(tmp_path):
    file = tmp_path / "000001.log"
    file.write_bytes(log(record(1, entry(b"a", b"1")), bytes(1024), record(9, entry(b"b", b"2"), synced=8)))
    found = []
    with pytest.raises(lsm.CorruptionError, match="synced"):
        found.extend(dump.entries(file))
    assert found == [(b"a", b"1")]


@pytest.mark.parametrize("data", [b"", b"lsm.log\n", b"lsm.log\n" + bytes(56), bytes(64), b"x" * 200])
def test_a_log_without_its_header_is_damage(tmp_path, data):
    file = tmp_path / "000001.log"
    file.write_bytes(data)
    with pytest.raises(lsm.CorruptionError) as raised:
        list(dump.entries(file))
    assert raised.value.path == str(file)


def make_table(tmp_path, count=500, **options):
    found = some_entries(3, count, versions=3)
    with _core.Directory(tmp_path) as directory:
        write_table(directory, "000001.table", found, number=1, database_id=DATABASE, **options)
    return tmp_path / "000001.table", [(key, None if kind == DELETE else value, sequence)
                                       for key, sequence, kind, value in found]


def test_a_table_gives_its_newest_entries_or_all(tmp_path):
    file, found = make_table(tmp_path)
    assert list(dump.entries(file, versions=True)) == found
    newest = {}
    for key, value, _ in found:
        newest.setdefault(key, value)
    assert len(newest) < len(found) and None in newest.values()
    assert list(dump.entries(file)) == list(newest.items())
    renamed = file.rename(tmp_path / "renamed")
    assert list(dump.entries(renamed)) == list(newest.items())


def test_a_damaged_table_gives_what_is_before_the_damage(tmp_path):
    file, found = make_table(tmp_path)
    data = bytearray(file.read_bytes())
    data[10_000] ^= 1
    file.write_bytes(data)
    before = []
    with pytest.raises(lsm.CorruptionError) as raised:
        before.extend(dump.entries(file, versions=True))
    assert before and before == found[:len(before)]
    assert raised.value.path == str(file) and 0 < raised.value.offset <= 10_000


def test_a_damaged_database_gives_what_is_before_the_damage(tmp_path):
    with lsm.open(tmp_path / "db", compression="none") as db:
        db.write_many((b"%05d" % number, b"v" * 50) for number in range(1000))
    file, = (tmp_path / "db").glob("*.table")
    data = bytearray(file.read_bytes())
    data[20_000] ^= 1
    file.write_bytes(data)
    before = []
    with pytest.raises(lsm.CorruptionError):
        before.extend(dump.entries(tmp_path / "db"))
    assert before == [(b"%05d" % number, b"v" * 50) for number in range(len(before))] and len(before) > 100


def test_golden_files_are_dumped(tmp_path):
    from test_lint import ROOT

    for name in ("000042.table", "000042.log"):
        assert len(list(dump.entries(ROOT / "tests" / "data" / "v1" / name, versions=True))) > 1


def test_all_of_it_works_where_no_core_was_built(tmp_path):
    pytest.importorskip("lsm._pycore")
    program = """
import io, pathlib, sys, warnings
warnings.simplefilter("ignore")
sys.modules["lsm._core"] = None
import lsm
from lsm import dump
path = pathlib.Path(sys.argv[1])
with lsm.open(path / "db") as db:
    db[b"a"] = b"1"
    db.delete(b"b")
    log, = (path / "db").glob("*.log")
    expected = [(b"a", b"1", 1), (b"b", None, 2)]
    assert list(dump.entries(log, versions=True)) == expected
table, = (path / "db").glob("*.table")
assert list(dump.entries(table, versions=True)) == expected
file = io.BytesIO()
dump.write(dump.entries(table), file, "binary")
file.seek(0)
assert list(dump.read(file)) == [(b"a", b"1"), (b"b", None)]
assert lsm.convert(path / "db", path / "copy", engine="lsm").rows == 1
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_is_nothing_is_refused(tmp_path):
    (tmp_path / "other").write_text("hello")
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.table", tmp_path / "none.log", tmp_path / "other"):
        with pytest.raises(lsm.NotADatabaseError) as raised:
            list(dump.entries(path))
        assert raised.value.path == str(path)
    with pytest.raises(lsm.OptionError, match="versions"):
        dump.entries(tmp_path, versions=True)
    (tmp_path / "x.table").write_bytes(b"lsmtable")
    with pytest.raises(lsm.CorruptionError):
        list(dump.entries(tmp_path / "x.table"))


def test_loading_deletes_and_counts(db):
    db[b"gone"] = b"1"
    told = []
    loaded = dump.load(db, [(b"a", b"1"), (b"gone", None), (b"a", b"2"), (b"", b"")], told.append)
    assert (loaded.puts, loaded.deletes, loaded.bytes) == (3, 1, 8) and told == [loaded]
    assert dict(db) == {b"": b"", b"a": b"2"}
    assert str(loaded) == "3 puts and 1 deletes of 8 bytes"


def test_loading_goes_in_batches_and_keeps_what_came_before_an_error(db):
    told = []

    def failing():
        for number in range(25_000):
            yield b"%05d" % number, b"v"
        raise lsm.FormatError("x", "line 25001", "wrong")

    with pytest.raises(lsm.FormatError):
        dump.load(db, failing(), told.append)
    assert [loaded.puts for loaded in told] == [10_000, 20_000, 25_000]
    assert len(db) == 25_000
