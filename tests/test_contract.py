"""The contract of single operations: what put, get, delete, batches and the mapping promise, and what they refuse."""

import array
import collections.abc
import ctypes
import mmap

import lsm
import pytest

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py

KEY_LIMIT = 65_535
VALUE_LIMIT = 128 << 20


def test_a_put_is_read_back_and_overwritten(db):
    db.put(b"kenya", b"Nairobi")
    assert db.get(b"kenya") == b"Nairobi"
    db.put(b"kenya", b"NBO")
    assert db[b"kenya"] == b"NBO"
    assert type(db.get(b"kenya")) is bytes


def test_a_missing_key_gives_the_default_or_a_key_error(db):
    default = object()
    assert db.get(b"none") is None
    assert db.get(b"none", default) is default
    assert db.get(b"none", default=default) is default
    with pytest.raises(KeyError) as raised:
        db[b"none"]
    assert raised.value.args == (b"none",)


def test_deleting_is_idempotent_but_del_of_a_missing_key_is_a_key_error(db):
    db[b"a"] = b"1"
    db.delete(b"a")
    db.delete(b"a")
    assert b"a" not in db
    with pytest.raises(KeyError):
        del db[b"a"]
    db[b"a"] = b"2"
    del db[b"a"]
    assert db.get(b"a") is None


def test_empty_key_and_empty_value_are_legal(db):
    db[b""] = b""
    db[b"x"] = b""
    assert db[b""] == b"" and b"" in db and db.get(b"") == b""
    db.flush()
    assert db[b""] == b"" and db[b"x"] == b""
    assert list(db.scan()) == [(b"", b""), (b"x", b"")]
    del db[b""]
    assert b"" not in db


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda raw: memoryview(bytearray(b"_" + raw))[1:]])
def test_anything_with_the_buffer_protocol_is_a_key_and_a_value(db, kind):
    db.put(kind(b"key"), kind(b"value"))
    db[kind(b"second")] = kind(b"2")
    assert db.get(kind(b"key")) == b"value" == db[kind(b"key")]
    assert kind(b"key") in db
    assert db.multi_get([kind(b"key"), kind(b"none")]) == [b"value", None]
    assert list(db.scan(kind(b"k"), kind(b"l"))) == [(b"key", b"value")]
    assert list(db.scan(prefix=kind(b"s"))) == [(b"second", b"2")]
    with db.write_batch() as batch:
        batch.put(kind(b"third"), kind(b"3"))
        batch.delete(kind(b"second"))
    db.delete(kind(b"key"))
    assert list(db) == [b"third"]


def test_a_buffer_changed_after_the_call_changes_nothing_stored(db):
    key, value = bytearray(b"key"), bytearray(b"value")
    db.put(key, value)
    batch = db.write_batch()
    batch.put(value, key)
    key[:], value[:] = b"xxx", b"yyyyy"
    batch.write()
    assert dict(db.items()) == {b"key": b"value", b"value": b"key"}


def test_other_exporters_of_buffers_are_taken_by_their_bytes(db):
    numbers = array.array("H", [1, 2, 3])
    with mmap.mmap(-1, 4096) as pages:
        pages[:3] = b"abc"
        db.put(numbers, pages)
    assert db[numbers.tobytes()] == b"abc" + bytes(4093)


def test_write_many_counts_the_bytes_of_whatever_has_a_buffer(db):
    """Not its length, which it need not have."""
    assert db.write_many([(b"number", ctypes.c_int32(3)), (array.array("H", [1]), memoryview(bytes(6)).cast("H", (3, 1)))]) == 2
    assert db[b"number"] == bytes(ctypes.c_int32(3)) and db[array.array("H", [1])] == bytes(6)


WRONG = ["text", None, 5, 1.5, ["a"], object()]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
def test_a_key_that_is_not_bytes_is_refused_by_every_door(db, wrong):
    db[b"kept"] = b"1"
    batch = db.write_batch()
    doors = [
        lambda: db.put(wrong, b"v"), lambda: db.get(wrong), lambda: db[wrong], lambda: db.delete(wrong),
        lambda: db.__setitem__(wrong, b"v"), lambda: db.__delitem__(wrong), lambda: wrong in db,
        lambda: db.multi_get([wrong]), lambda: db.write_many([(wrong, b"v")]), lambda: db.write_many({wrong: b"v"})
        if isinstance(wrong, collections.abc.Hashable) else db.put(wrong, b"v"),
        lambda: batch.put(wrong, b"v"), lambda: batch.delete(wrong), lambda: db.cursor().seek(wrong),
        lambda: db.cursor().seek_before(wrong), lambda: db.snapshot().get(wrong),
    ]
    if wrong is not None:  # in a scan None means: no bound
        doors += [lambda: db.scan(wrong), lambda: db.scan(stop=wrong), lambda: db.scan(prefix=wrong)]
    for door in doors:
        with pytest.raises(TypeError, match="bytes") as raised:
            door()
        if isinstance(wrong, str):
            assert "encode" in str(raised.value)
    batch.write()
    assert dict(db.items()) == {b"kept": b"1"}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
def test_a_value_that_is_not_bytes_is_refused_by_every_door(db, wrong):
    batch = db.write_batch()
    for door in [lambda: db.put(b"k", wrong), lambda: db.__setitem__(b"k", wrong), lambda: batch.put(b"k", wrong),
                 lambda: db.write_many([(b"k", wrong)]), lambda: db.setdefault(b"k", wrong)]:
        with pytest.raises(TypeError, match="bytes") as raised:
            door()
        if isinstance(wrong, str):
            assert "encode" in str(raised.value)
    assert not db and len(batch) == 0


def test_the_longest_key_is_stored_and_one_byte_more_names_the_limit(db, engine):
    limit = db.traits.key_bytes_max
    assert limit == (510 if engine == "btree" else KEY_LIMIT)
    longest = b"k" * limit
    db[longest] = b"1"
    db.flush()
    assert db[longest] == b"1" and list(db) == [longest]
    batch = db.write_batch()
    for door in [lambda key: db.put(key, b""), lambda key: batch.put(key, b""), lambda key: db.write_many([(key, b"")])]:
        with pytest.raises(ValueError, match=f"limit of {limit:,} bytes"):
            door(longest + b"k")
    assert db.get(longest + b"k") is None and longest + b"k" not in db
    assert len(db) == 1 and len(batch) == 0


def test_a_value_over_the_limit_is_refused_and_names_the_limit(db):
    with mmap.mmap(-1, VALUE_LIMIT + 1) as pages:  # untouched pages: no memory is spent
        with pytest.raises(ValueError, match=r"134[,_ ]?217[,_ ]?728|128 MiB"):
            db.put(b"k", pages)
        with pytest.raises(ValueError):
            db.write_batch().put(b"k", pages)
    assert not db


def test_a_value_of_many_memtables_is_stored(path):
    value = bytes(range(256)) * 4096  # 1 MiB
    with lsm.open(path, memtable_bytes=64 << 10) as db:
        db[b"big"] = value
        db[b"small"] = b"1"
        assert db[b"big"] == value
    with lsm.open(path) as db:
        assert db[b"big"] == value and db[b"small"] == b"1"


def test_sync_is_a_keyword_of_every_write(db):
    db.put(b"a", b"1", sync=True)
    db.put(b"b", b"2", sync=True)
    db.delete(b"b", sync=True)
    with db.write_batch(sync=True) as batch:
        batch.put(b"c", b"3")
    assert db.write_many([(b"d", b"4")], sync=True) == 1
    db.sync()
    assert dict(db.items()) == {b"a": b"1", b"c": b"3", b"d": b"4"}
    with pytest.raises(TypeError):
        db.put(b"a", b"1", True)
    with pytest.raises(TypeError):
        db.put(b"a", b"1", sink=True)


def test_multi_get_keeps_order_and_repeats(db):
    db.update({b"a": b"1", b"b": b"2"})
    default = object()
    assert db.multi_get([]) == []
    assert db.multi_get([b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]
    assert db.multi_get(iter((b"b", b"x")), default=default) == [b"2", default]
    db.flush()
    assert db.multi_get((b"b", b"x", b"a"), default) == [b"2", default, b"1"]


def test_truth_and_length_follow_what_is_there(db):
    assert not db and len(db) == 0
    db[b"a"] = b"1"
    db[b"a"] = b"2"
    assert db and len(db) == 1
    db.flush()
    assert bool(db) is True and len(db) == 1
    del db[b"a"]
    assert not db and len(db) == 0
    db.compact()
    assert not db and list(db) == []


def test_repr_works_open_and_closed(db):
    assert repr(db)
    db.close()
    assert repr(db)
