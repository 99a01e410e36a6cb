"""Batches: all or nothing, in the order given; and write_many, the same in one call."""

import threading

import lsm
import pytest
from crew import JOIN, Crew, checked

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py


def test_a_batch_is_written_when_the_block_ends_and_not_before(db):
    db[b"old"] = b"0"
    with db.write_batch() as batch:
        batch.put(b"a", b"1")
        batch[b"b"] = b"2"
        batch.delete(b"old")
        assert len(batch) == 3
        assert dict(db.items()) == {b"old": b"0"}
    assert dict(db.items()) == {b"a": b"1", b"b": b"2"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_a_batch_whose_block_raises_writes_nothing(db, error):
    with pytest.raises(error), db.write_batch() as batch:
        batch.put(b"a", b"1")
        raise error
    assert not db
    with db.write_batch() as batch:
        batch.put(b"b", b"2")
    assert dict(db.items()) == {b"b": b"2"}


def test_within_a_batch_the_last_word_on_a_key_holds(db):
    db[b"c"] = b"0"
    with db.write_batch() as batch:
        batch.put(b"a", b"1")
        batch.put(b"a", b"2")
        batch.put(b"b", b"1")
        batch.delete(b"b")
        batch.delete(b"c")
        batch.put(b"c", b"1")
    assert dict(db.items()) == {b"a": b"2", b"c": b"1"}
    db.flush()
    assert dict(db.items()) == {b"a": b"2", b"c": b"1"}


def test_deleting_a_missing_key_in_a_batch_is_fine(db):
    with db.write_batch() as batch:
        del batch[b"none"]
        batch.delete(b"neither")
    assert not db


def test_a_cleared_batch_writes_only_what_came_after(db):
    batch = db.write_batch()
    batch.put(b"a", b"1")
    batch.clear()
    assert len(batch) == 0
    batch.put(b"b", b"2")
    batch.write()
    assert dict(db.items()) == {b"b": b"2"}


def test_an_empty_batch_changes_nothing(db):
    with db.write_batch():
        pass
    db.write_batch(sync=True).write()
    assert db.write_many([]) == 0 and db.write_many({}) == 0
    assert not db


def test_a_batch_dropped_unwritten_leaves_nothing(db):
    batch = db.write_batch()
    batch.put(b"a", b"1")
    del batch
    assert not db


def test_an_error_in_the_block_leaves_the_good_calls_to_be_written_by_hand(db):
    batch = db.write_batch()
    batch.put(b"a", b"1")
    with pytest.raises(TypeError):
        batch.put("b", b"2")
    assert len(batch) == 1
    batch.write()
    assert dict(db.items()) == {b"a": b"1"}


def test_two_batches_at_once_do_not_mix(db):
    one, two = db.write_batch(), db.write_batch()
    one.put(b"k", b"one")
    two.put(b"k", b"two")
    two.put(b"only two", b"2")
    two.write()
    assert db[b"k"] == b"two"
    one.write()
    assert dict(db.items()) == {b"k": b"one", b"only two": b"2"}


def test_a_batch_larger_than_the_memtable_is_still_whole(path):
    pairs = {b"%06d" % number: b"v" * 100 for number in range(5000)}
    with lsm.open(path, memtable_bytes=64 << 10) as db:
        with db.write_batch() as batch:
            for key, value in pairs.items():
                batch.put(key, value)
        assert dict(db.items()) == pairs
    with lsm.open(path) as db:
        assert dict(db.items()) == pairs


def test_write_many_takes_pairs_a_mapping_and_a_generator_and_counts(db):
    assert db.write_many([(b"a", b"1"), (b"b", b"2")]) == 2
    assert db.write_many({b"c": b"3"}) == 1
    assert db.write_many((b"%d" % number, b"n") for number in range(1000)) == 1000
    assert db.write_many([[b"a", b"one"], (b"a", b"two")]) == 2
    assert db[b"a"] == b"two" and len(db) == 1003


@pytest.mark.parametrize("wrong", [("b", b"2"), (b"b", None), (b"b",), (b"b", b"2", b"3"), 5])
def test_write_many_with_a_wrong_pair_writes_nothing(db, wrong):
    with pytest.raises((TypeError, ValueError)):
        db.write_many([(b"a", b"1"), wrong])
    assert not db


def test_write_many_whose_generator_raises_passes_the_error_on(db):
    def pairs():
        yield b"a", b"1"
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        db.write_many(pairs())
    db[b"b"] = b"2"
    assert db[b"b"] == b"2"


def test_write_many_whose_generator_reads_and_writes_the_database_does_not_deadlock(db):
    def pairs():
        for number in range(100):
            db.put(b"direct %d" % number, b"d")
            assert db.get(b"direct %d" % number) == b"d"
            yield b"many %d" % number, b"m"

    assert db.write_many(pairs()) == 100
    assert len(db) == 200


def test_a_batch_that_another_thread_writes_is_busy(path, monkeypatch):
    """Every use of it, from any thread, until it is written; and then it is empty and serves again."""
    inside, go = threading.Event(), threading.Event()
    with lsm.open(path, memtable_bytes=4096) as db:
        db.put(b"filler", b"x" * 5000)              # the next write rotates, and is held there
        genuine = db._tree.switch

        def switch():
            inside.set()
            assert go.wait(JOIN)
            genuine()

        monkeypatch.setattr(db._tree, "switch", switch)
        batch = db.write_batch()
        batch.put(b"a", b"1")
        writing = threading.Thread(target=batch.write)
        writing.start()
        assert inside.wait(JOIN)
        for use in (lambda: batch.put(b"b", b"2"), lambda: batch.delete(b"a"), batch.clear, batch.write,
                    lambda: batch.__setitem__(b"b", b"2"), lambda: batch.__delitem__(b"a")):
            with pytest.raises(lsm.BusyError):
                use()
        go.set()
        writing.join(JOIN)
        assert db[b"a"] == b"1" and b"b" not in db and len(batch) == 0
        batch.put(b"b", b"2")
        batch.write()
        assert db[b"b"] == b"2"


def test_threads_that_fill_and_write_one_batch_lose_nothing_that_was_taken(path):
    """BusyError, or it is in: each put that returned is written by somebody, once and whole."""
    taken = [[] for _ in range(4)]

    def use(batch, number):
        for count in range(1500):
            key = b"%d:%d" % (number, count)
            try:
                batch.put(key, checked(key))
                taken[number].append(key)
                if count % 10 == number:
                    batch.write()
            except lsm.BusyError:
                pass

    with lsm.open(path) as db:
        batch = db.write_batch()
        crew = Crew()
        for number in range(4):
            crew.add(use, batch, number)
        crew.start().join()
        batch.write()
        assert dict(db.scan()) == {key: checked(key) for keys in taken for key in keys}
