"""Chunked scans: the rows of a scan, as columns; their memory outlives everything; what Arrow is handed is right."""

import doctest
import gc
import threading
from pathlib import Path

import lsm
import pytest
from damage import flipped
from model import TINY, random_key, random_range, random_value, scanned

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scans.md"


def rows_of(chunks):
    return [row for chunk in chunks for row in chunk]


@pytest.fixture
def filled(path, rng):
    """Rows over old versions and tombstones, in memory and in tables of several levels; a snapshot of half-way."""
    model = {}
    with lsm.open(path, **TINY) as db:
        then, snapshot = {}, None
        for turn in range(3000):
            key = random_key(rng)
            if rng.random() < 0.7:
                db[key] = model[key] = random_value(rng, turn)[:100]
            else:
                db.delete(key)
                model.pop(key, None)
            if turn == 1500:
                snapshot, then = db.snapshot(), dict(model)
            if turn % 700 == 699:
                db.flush()
        yield db, model, snapshot, then
        snapshot.close()


@pytest.mark.parametrize("chunk_bytes", [1, 100, 5000, 1 << 20])
def test_chunks_hold_the_rows_of_a_scan(filled, rng, chunk_bytes):
    db, model, snapshot, then = filled
    for reader, rows in ((db, model), (snapshot, then)):
        for _ in range(30):
            asked = random_range(rng)
            found = rows_of(reader.scan_chunks(**asked, chunk_bytes=chunk_bytes))
            assert found == scanned(rows, **asked) == list(reader.scan(**asked)), asked


def test_a_chunk_holds_as_much_as_was_asked_for(db, rng):
    db.write_many((rng.randbytes(16), bytes(100)) for _ in range(5000))
    sizes = [chunk.nbytes for chunk in db.scan_chunks(chunk_bytes=10_000)]
    assert all(10_000 - 116 < size <= 10_000 for size in sizes[:-1])
    assert [len(chunk) for chunk in db.scan_chunks(chunk_bytes=1, limit=7)] == [1] * 7
    assert [len(chunk) for chunk in db.scan_chunks()] == [5000]


def test_a_row_larger_than_a_chunk_is_a_chunk(db):
    db.update({b"a": b"1", b"b": bytes(3 << 20), b"c": b"3"})
    assert [len(chunk) for chunk in db.scan_chunks(chunk_bytes=1000)] == [1, 1, 1]
    assert [len(chunk) for chunk in db.scan_chunks(chunk_bytes=4 << 20)] == [3]


def test_empty_keys_and_values(db):
    db.update({b"": b"", b"a": b"", b"b": b"2"})
    chunk = next(db.scan_chunks())
    assert list(chunk.keys) == [b"", b"a", b"b"] and list(chunk.values) == [b"", b"", b"2"]
    db.clear()
    assert list(db.scan_chunks()) == []
    db[b""] = b""
    assert rows_of(db.scan_chunks(reverse=True)) == [(b"", b"")]
    assert rows_of(db.scan_chunks(values=False)) == [b""] == rows_of(db.scan_chunks(keys=False))


def test_a_column_is_a_sequence_of_bytes(db):
    db.update({b"a": b"one", b"b": b"", b"c": b"three"})
    column = next(db.scan_chunks()).values
    assert column[0] == b"one" and column[-1] == b"three" and column[1:] == [b"", b"three"] and len(column) == 3
    assert list(column) == column.tolist() == [b"one", b"", b"three"] and column.nbytes == 8
    for index in (3, -4):
        with pytest.raises(IndexError):
            column[index]
    with pytest.raises(TypeError):
        column["0"]
    assert list(lsm.Column()) == [] == lsm.Column().data.tolist() and lsm.Column().offsets.tolist() == [0]


def test_what_was_not_asked_for_is_none(db):
    db[b"a"] = b"1"
    assert next(db.scan_chunks(keys=False)).keys is None
    assert next(db.scan_chunks(values=False)).values is None


def test_buffers_are_lent_not_copied(db):
    numpy = pytest.importorskip("numpy")
    db.update({b"%04d" % number: b"%d" % number for number in range(1000)})
    keys = next(db.scan_chunks()).keys
    offsets, data = numpy.frombuffer(keys.offsets, numpy.int32), numpy.frombuffer(keys.data, numpy.uint8)
    assert list(offsets) == list(range(0, 4001, 4))
    assert bytes(data[offsets[7]:offsets[8]]) == b"0007"
    assert not data.flags.writeable and not offsets.flags.writeable
    assert numpy.frombuffer(keys.data, numpy.uint8).__array_interface__["data"] == data.__array_interface__["data"]


def test_a_chunk_outlives_scan_and_database(path):
    with lsm.open(path) as db:
        db.update({b"a": b"1", b"b": b"2"})
        chunk = next(db.scan_chunks())
        offsets, data = chunk.keys.offsets, chunk.values.data
    gc.collect()
    assert rows_of([chunk]) == [(b"a", b"1"), (b"b", b"2")]
    del chunk
    gc.collect()
    assert offsets.tolist() == [0, 1, 2] and bytes(data) == b"12"


def test_wrong_arguments(db):
    for size in (0, -1, (1 << 30) + 1):
        with pytest.raises(ValueError, match="chunk_bytes"):
            db.scan_chunks(chunk_bytes=size)
    with pytest.raises(TypeError):
        db.scan_chunks(chunk_bytes="1")
    with pytest.raises(TypeError):
        db.scan_chunks(prefix="a")
    with pytest.raises(ValueError):
        db.scan_chunks(keys=False, values=False)
    with pytest.raises(ValueError):
        db.scan_chunks(limit=-1)
    with pytest.raises(ValueError):
        lsm.Chunk()
    with pytest.raises(ValueError):
        lsm.Chunk([b"a"], [])


def test_closing(path):
    db = lsm.open(path)
    db.update({b"a": b"1", b"b": b"2"})
    with db.scan_chunks(chunk_bytes=1) as chunks:
        next(chunks)
    with pytest.raises(lsm.ClosedError):
        next(chunks)
    chunks = db.scan_chunks(chunk_bytes=1)
    next(chunks)
    db.close()
    for _ in range(2):
        with pytest.raises(lsm.ClosedError):
            next(chunks)
    with pytest.raises(lsm.ClosedError):
        db.scan_chunks()


def test_an_ended_scan_stays_ended_and_lets_go(db):
    db[b"a"] = b"1"
    chunks = db.scan_chunks()
    assert len(list(chunks)) == 1
    assert list(chunks) == []


def test_damage_is_raised_after_the_rows_before_it_and_again(path):
    model = {b"%05d" % number: b"%d" % number * 20 for number in range(2000)}
    with lsm.open(path, compression="none") as db:
        db.write_many(model)
        db.compact()
    (table,) = path.glob("*.table")
    data = table.read_bytes()
    table.write_bytes(flipped(data, data.index(b"1000" * 5), 0))
    with lsm.open(path) as db:
        for start in (db.scan_chunks(chunk_bytes=2000), db.scan()):
            rows = []
            with pytest.raises(lsm.CorruptionError) as caught:
                for found in start:
                    rows += found if isinstance(found, lsm.Chunk) else [found]
            assert rows == list(model.items())[:len(rows)] and 900 < len(rows) < 1000
            assert caught.value.path == str(table) and 0 < caught.value.offset < data.index(b"1000" * 5)
            with pytest.raises(lsm.CorruptionError):
                next(start)
        rows = []
        with pytest.raises(lsm.CorruptionError):
            for chunk in db.scan_chunks(reverse=True):
                rows += chunk
        assert rows == list(model.items())[::-1][:len(rows)] and 900 < len(rows) < 1000


def test_two_threads_get_busy_or_rows_each_row_once(path, rng):
    with lsm.open(path, block_cache_bytes=0) as db:
        db.write_many((b"%06d" % number, rng.randbytes(50)) for number in range(20_000))
        db.compact()
        chunks, taken, errors = db.scan_chunks(chunk_bytes=3000), [], []

        def take():
            while True:
                try:
                    taken.append(next(chunks))
                except StopIteration:
                    return
                except lsm.BusyError:
                    pass
                except lsm.ClosedError:         # ended by the other one
                    return
                except Exception as error:
                    errors.append(error)
                    return

        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert sorted(key for chunk in taken for key in chunk.keys) == [b"%06d" % number for number in range(20_000)]


def test_the_contract_has_it_made_of_scan(filled):
    db, model, _, _ = filled
    chunks = lsm.Engine.scan_chunks(db, chunk_bytes=500, reverse=True)
    assert rows_of(chunks) == scanned(model, reverse=True)
    sizes = [len(chunk) for chunk in lsm.Engine.scan_chunks(db, chunk_bytes=500, values=False)]
    assert len(sizes) > 1 and sum(sizes) == len(model)
    with lsm.Engine.scan_chunks(db, keys=False) as chunks:
        assert rows_of([next(chunks)]) == scanned(model, keys=False)
    assert list(chunks) == []


def test_examples_of_the_page(db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("numpy")
    pytest.importorskip("pyarrow")
    told = doctest.testfile(str(PAGE), module_relative=False, globs={"db": db, "lsm": lsm})
    assert told.attempted > 5 and not told.failed


# ------------------------------------------------------------------------------------------------ Arrow


@pytest.fixture
def pyarrow():
    return pytest.importorskip("pyarrow", minversion="15")


@pytest.mark.parametrize("asked", [{}, {"reverse": True}, {"keys": False}, {"values": False}, {"limit": 10}])
@pytest.mark.parametrize("scan", [lsm.DB.scan_chunks, lsm.Engine.scan_chunks])
def test_arrow_reads_the_stream(filled, pyarrow, asked, scan):
    db, model, _, _ = filled
    table = pyarrow.table(scan(db, chunk_bytes=2000, **asked))
    table.validate(full=True)
    names = [name for name, wanted in (("key", "keys"), ("value", "values")) if asked.get(wanted, True)]
    assert table.column_names == names
    assert all(field.type == pyarrow.binary() and not field.nullable for field in table.schema)
    columns = [column.to_pylist() for column in table.columns]
    assert (list(zip(*columns)) if len(columns) == 2 else columns[0]) == scanned(model, **asked)


def test_arrow_reads_chunk_and_column(db, pyarrow):
    db.update({b"a": b"1", b"b": b"22"})
    chunk = next(db.scan_chunks())
    batch = pyarrow.record_batch(chunk)
    batch.validate(full=True)
    assert batch.to_pydict() == {"key": [b"a", b"b"], "value": [b"1", b"22"]}
    values = pyarrow.array(chunk.values)
    values.validate(full=True)
    assert values.to_pylist() == [b"1", b"22"]
    assert values.buffers()[2].address == pyarrow.py_buffer(chunk.values.data).address, "copied"
    db.close()
    del chunk
    gc.collect()
    assert values.to_pylist() == [b"1", b"22"] and batch.num_rows == 2


def test_arrow_reads_nothing(db, pyarrow):
    table = pyarrow.table(db.scan_chunks())
    assert table.num_rows == 0 and table.column_names == ["key", "value"]


def test_arrow_moves_children_out(db, pyarrow):
    """A column taken out of a struct lives on when the struct is released."""
    db.update({b"a": b"1", b"b": b"22"})
    struct = pyarrow.array(next(db.scan_chunks()))
    values = struct.field("value")
    del struct
    gc.collect()
    assert values.to_pylist() == [b"1", b"22"]


def test_capsules_that_nobody_opens_are_released(db):
    db.update({b"a": b"1", b"b": b"22"})
    chunks = db.scan_chunks(chunk_bytes=1)
    chunk = next(chunks)
    for capsule in (chunk.__arrow_c_schema__(), chunk.__arrow_c_array__(), chunk.keys.__arrow_c_schema__(),
                    chunk.keys.__arrow_c_array__(), chunks.__arrow_c_stream__()):
        del capsule
    gc.collect()
    assert rows_of(chunks) == [(b"b", b"22")]


def test_arrow_hears_of_errors(path, pyarrow):
    db = lsm.open(path)
    db.update({b"a": b"1", b"b": b"2"})
    reader = pyarrow.RecordBatchReader.from_stream(db.scan_chunks(chunk_bytes=1))
    assert reader.read_next_batch().num_rows == 1
    db.close()
    with pytest.raises(OSError, match="ClosedError"):
        reader.read_next_batch()
