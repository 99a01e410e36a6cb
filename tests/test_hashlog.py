"""hashlog: what the contract does not say: the index and its memory, hints, merging, snapshots beside merges, options."""
import os
import random
import threading

import lsm
import pytest
from lsm import _core
from lsm.engines.hashlog.database import HashLog
from lsm.engines.hashlog.manifest import FileMeta
from lsm.engines.hashlog.merge import Weighed, choose, everything, oldest_beside
from lsm.errors import OptionError, OptionNameError, ReadOnlyError

TINY = {"file_bytes": 1 << 14}


def opened(path, **options):
    return lsm.open(path, engine="hashlog", **options)


# ------------------------------------------------------------ the index

@pytest.mark.parametrize("size", [8, 13, 16, 40, 250])
def test_an_entry_takes_at_most_40_bytes_beside_the_key(path, size):
    """All of the memory: slots taken and free, rounding, what is kept free. At any number of keys once there are some."""
    rng, worst = random.Random(size), 0
    with opened(path, block_cache_bytes=0) as db:
        for _ in range(24):
            db.write_many((rng.randbytes(size), b"") for _ in range(10_000))
            figures = db.stats()
            if figures.keys >= 100_000:
                # the chunk that is being filled is not the entry's fault: at most one of 2 MiB
                worst = max(worst, (figures.index_bytes - figures.key_bytes - (2 << 20)) / figures.keys)
        assert figures.index_bytes_per_key == pytest.approx((figures.index_bytes - figures.key_bytes) / figures.keys)
    assert worst <= 40, worst


def test_the_index_gives_back_what_is_deleted_for_what_comes(path):
    rng = random.Random("give back")
    keys = [rng.randbytes(rng.choice((0, 1, 15, 16, 17, 100, 3000))) for _ in range(3000)]
    with opened(path) as db:
        for round_ in range(6):
            db.write_many((key, b"%d" % round_) for key in keys)
            if round_ == 1:
                before = db.stats().index_bytes
            with db.write_batch() as batch:
                for key in keys:
                    batch.delete(key)
            assert len(db) == 0 and list(db) == [] and not db
        assert db.stats().index_bytes <= before


def test_many_keys_come_and_go(path):
    """The index against a dict: growing, removing from full lines, keys of one length and of all."""
    rng, model = random.Random("come and go"), {}
    with opened(path) as db:
        for step in range(60_000):
            key = b"%x" % rng.randrange(9_000) * rng.choice((1, 1, 1, 5))
            if rng.random() < 0.45:
                db.delete(key)
                model.pop(key, None)
            else:
                db[key] = model[key] = b"%d" % step
        assert len(db) == len(model) and dict(db.items()) == model
        assert db.multi_get(list(model)) == list(model.values())
        assert all((key in db) is (key in model) for key in (b"%x" % number for number in range(9_000)))
    with opened(path) as db:
        assert dict(db.items()) == model


def test_long_keys_take_the_room_of_longer_ones(path):
    """Free stretches of the index's memory that are too small are passed over, and the next of the list is taken."""
    rng, model, most = random.Random("long keys"), {}, 0
    with opened(path) as db:
        for size in (9_000, 60_000, 20_000, 60_000, 9_000, 40_000, 65_535, 30_000, 60_000):
            keys = [rng.randbytes(size - rng.randrange(50)) for _ in range(3_000_000 // size)]
            db.write_many((key, b"%d" % size) for key in keys)
            kept = set(rng.sample(keys, 4))
            assert db.multi_get(keys) == [b"%d" % size] * len(keys)
            with db.write_batch() as batch:
                for key in set(keys) - kept:
                    batch.delete(key)
            model.update(dict.fromkeys(kept, b"%d" % size))
            assert dict(db.items()) == model
            most = max(most, db.stats().index_bytes)
        assert most < 26_000_000                # all the keys there ever were have 27
    with opened(path) as db:
        assert dict(db.items()) == model


def test_large_records_lie_in_the_file_alone(path):
    rng, model = random.Random("large"), {}
    with opened(path, file_bytes=1 << 18) as db:
        for number in range(40):
            size = rng.choice((10, 4000, 4096, 32_600, 33_000, 100_000, 300_000))
            key = b"%d" % rng.randrange(10)
            db[key] = model[key] = rng.randbytes(size)
            assert db[key] == model[key]
        assert dict(db.items()) == model
        db.compact()
        assert dict(db.items()) == model and db.verify().ok


# ------------------------------------------------------------ opening

def test_opening_reads_hints_and_no_values(path, monkeypatch):
    with opened(path) as db:
        db.update({b"%d" % i: os.urandom(2000) for i in range(1000)})
    read = []
    genuine = _core.HashStore._load_image
    monkeypatch.setattr("lsm.engines.hashlog.database.HashLog._load_image", lambda *given: read.append(given) or genuine(*given),
                        raising=False)
    with opened(path) as db:
        assert len(db) == 1000 and not read
        assert db.stats().cache_misses == 0


def test_who_only_reads_leaves_no_trace(path):
    with opened(path) as db:
        db[b"a"] = b"1"
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir() if file.name != "LOCK"}
    with opened(path) as db:
        assert db[b"a"] == b"1"
    assert before == {file.name: file.stat().st_mtime_ns for file in path.iterdir() if file.name != "LOCK"}


def test_sequences_decide_which_record_is_newest_not_the_order_of_files(path):
    """A merge gives old records new files, with higher numbers than newer records have."""
    with HashLog(path, _background=False, **TINY) as db:        # one merge at a time: here ours
        db.update({b"old%d" % i: b"1" * 500 for i in range(60)})
        db.update({b"old%d" % i: b"2" * 500 for i in range(60)})
        db[b"moved"] = b"first"
        db.flush()
        db[b"moved"] = b"second"
        db[b"dead"] = b"1"
        db.flush()
        del db[b"dead"]
        db.flush()
        older = tuple(sorted(db._data.kept))[:-2]                   # all but those with what is newest
        assert len(older) > 1
        db._merger._merge(older)
        model = dict(db.items())
        assert model[b"moved"] == b"second"
    with opened(path) as db:
        assert dict(db.items()) == model and b"dead" not in db


# ------------------------------------------------------------ merging

def weighed(number, size, live, tombstones=0, first=1):
    return Weighed(FileMeta(number, size + 64, 1, first, first + 9), live, tombstones)


def test_what_is_merged_and_when():
    assert choose([], 1000, 0.5) == ()
    assert choose([weighed(1, 1000, 600), weighed(2, 1000, 400), weighed(3, 1000, 0)], 1000, 0.5) == (2, 3)
    assert choose([weighed(n, 1000, 100) for n in range(1, 30)], 1000, 0.5) == tuple(range(1, 9))      # some at a time
    assert choose([weighed(n, 100, 100) for n in range(1, 9)], 1000, 0.5) == ()
    assert choose([weighed(n, 100, 100) for n in range(1, 10)], 1000, 0.5) == tuple(range(1, 10))      # small ones
    assert choose([weighed(1, 1000, 1000), weighed(2, 1000, 300, 700)], 1000, 0.5) == (1, 2)           # deletions
    assert everything([weighed(1, 1000, 1000)], 1000) == () == everything([], 1000)
    assert everything([weighed(1, 1000, 999), weighed(2, 1000, 1000)], 1000) == (1, 2)
    assert oldest_beside([weighed(1, 9, 9, first=50).meta, weighed(2, 9, 9, first=20).meta], [2]) == 50


def test_a_merge_always_gains_something():
    """Else the thread would merge for ever."""
    rng = random.Random("gain")
    for _ in range(300):
        files = [weighed(n, size := rng.randrange(1, 2000), live := rng.randrange(size + 1), rng.randrange(size - live + 1))
                 for n in range(1, rng.randrange(2, 14))]
        for _ in range(50):
            chosen = choose(files, 1000, 0.5)
            if not chosen:
                break
            gone = [file for file in files if file.meta.number in chosen]
            kept = [file for file in files if file.meta.number not in chosen]
            live, tombstones = sum(f.live for f in gone), sum(f.tombstones for f in gone) if kept else 0
            number = max(file.meta.number for file in files)
            while live + tombstones > 0:
                part = min(1000, live + tombstones)
                number += 1
                kept.append(weighed(number, part, part - min(part, tombstones), min(part, tombstones)))
                tombstones -= min(part, tombstones)
                live = max(0, live - (part - kept[-1].tombstones))
            files = kept
        assert not chosen


def test_overwriting_keeps_the_files_within_bounds(path):
    rng = random.Random("bounds")
    with opened(path, **TINY) as db:
        for _ in range(12_000):
            db[b"%d" % rng.randrange(100)] = bytes(100)
        db._merger.wait(lambda: not db._data.written)
        figures = db.stats()
        assert figures.merges > 5 and figures.dead_bytes > 0
        db.compact()
        figures = db.stats()
        assert (figures.dead_bytes, figures.tombstone_bytes, figures.files) == (0, 0, 1)
        assert figures.live_bytes == figures.bytes - figures.files * 64
        assert "beside the key" in str(figures)
        merges = figures.merges
        db.compact()
        assert db.stats().merges == merges, "there was nothing to gain"
    names = sorted(file.name for file in path.iterdir())
    assert len(names) == 2 + 2, names


def test_deletions_go_when_nothing_older_is_left_and_not_before(path):
    with HashLog(path, _background=False, **TINY) as db:        # one merge at a time: here ours
        db[b"k"] = b"old"
        db.update({b"full%d" % i: bytes(900) for i in range(16)})
        db.flush()
        del db[b"k"]
        db[b"other"] = b"1"
        db.flush()
        first, *rest = sorted(db._data.kept)
        db._merger._merge(tuple(rest))                  # the file with the old record is not among them
        assert db.stats().tombstone_bytes > 0
    with opened(path, **TINY) as db:
        assert b"k" not in db
        db.compact()
        assert db.stats().tombstone_bytes == 0 and b"k" not in db
    with opened(path) as db:
        assert b"k" not in db and len(db) == 17


def test_small_files_of_short_sessions_are_merged(path):
    for number in range(30):
        with opened(path) as db:
            db[b"%d" % number] = b"1"
            if number == 29:
                db._merger.wait(lambda: len(db._data.kept) < 10)
    with opened(path) as db:
        assert len(db) == 30 and db.stats().files <= 12


# ------------------------------------------------------------ snapshots

def test_snapshots_hold_while_everything_is_overwritten_and_merged(path):
    rng, model, held = random.Random("hold"), {}, []
    with opened(path, **TINY) as db:
        for step in range(6000):
            key = b"%d" % rng.randrange(150)
            if rng.random() < 0.2:
                db.delete(key)
                model.pop(key, None)
            else:
                db[key] = model[key] = rng.randbytes(rng.randrange(120))
            if step % 400 == 0:
                held.append((db.snapshot(), dict(model)))
            if step % 700 == 0:
                db.compact()
            if step % 500 == 0 and len(held) > 3:
                held.pop(rng.randrange(len(held)))[0].close()
            if step % 300 == 0:
                for snapshot, then in held:
                    assert dict(snapshot.scan()) == then
                    assert snapshot.multi_get([b"%d" % i for i in range(150)]) == [then.get(b"%d" % i) for i in range(150)]
        assert db.stats().retired_files > 0
        for snapshot, then in held:
            assert dict(snapshot.scan()) == then and len(snapshot) == len(then)
            snapshot.close()
        # a merge may be under way, whose files are not yet those of the database, or no longer
        db._merger.wait(lambda: not db._data.retired
                        and len([file for file in path.iterdir() if file.suffix == ".data"]) == db.stats().files)
        assert dict(db.items()) == model


def test_a_scan_reads_what_was_there_although_its_files_are_merged_away(path):
    with opened(path, **TINY) as db:
        db.update({b"%03d" % i: b"%d" % i * 50 for i in range(300)})
        rows = db.scan()
        begun = [next(rows) for _ in range(5)]
        db.update({b"%03d" % i: b"new" for i in range(300)})
        db.compact()
        assert [*begun, *rows] == [(b"%03d" % i, b"%d" % i * 50) for i in range(300)]


def test_threads_and_merges(path):
    """Readers see whole batches and what is newest, while files are written, closed and merged under them."""
    wrong, stop = [], threading.Event()

    def reader(number):
        rng = random.Random(number)
        last = 0
        while not stop.is_set():
            group = b"%d" % rng.randrange(20)
            found = db.multi_get([group + b":a", group + b":b", b"count"])
            if found[0] != found[1] or int(found[2] or b"0") < last:
                wrong.append(found)
            last = int(found[2] or b"0")
            if rng.random() < 0.02:
                with db.snapshot() as then:
                    rows = dict(then.scan())
                    if any(rows.get(b"%d:a" % g) != rows.get(b"%d:b" % g) for g in range(20)) or then[b"count"] != rows[b"count"]:
                        wrong.append(rows)

    with opened(path, **TINY) as db:
        db[b"count"] = b"0"
        threads = [threading.Thread(target=reader, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        rng = random.Random("writer")
        try:
            for step in range(1, 4000):
                group, value = b"%d" % rng.randrange(20), b"%d" % step * rng.randrange(1, 40)
                db.write([(group + b":a", value), (group + b":b", value), (b"count", b"%d" % step)])
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not wrong
        db._merger.wait(lambda: db.stats().merges > 0)          # it may have had no processor until now
        assert db.verify().ok


# ------------------------------------------------------------ options and the directory

def test_options_are_checked_and_stored(path):
    with opened(path, file_bytes=1 << 15, merge_dead_ratio=0.25) as db:
        assert (db.options.file_bytes, db.options.merge_dead_ratio) == (1 << 15, 0.25)
    with opened(path) as db:
        assert (db.options.file_bytes, db.options.merge_dead_ratio) == (1 << 15, 0.25)
    with pytest.raises(OptionNameError, match="file_bytes"):
        opened(path, file_byte=3)
    for wrong in ({"file_bytes": 10}, {"file_bytes": True}, {"merge_dead_ratio": 0}, {"merge_dead_ratio": "x"},
                  {"block_cache_bytes": -1}):
        with pytest.raises(OptionError):
            opened(path, **wrong)


def test_read_only_writes_nothing_and_says_so(path):
    with opened(path) as db:
        db[b"a"] = b"1"
        db.sync()
        with opened(path, read_only=True) as other:
            assert other[b"a"] == b"1"
            for door in (lambda: other.put(b"b", b"2"), other.flush, other.compact, other.sync, other.write_batch):
                with pytest.raises(ReadOnlyError):
                    door()


def test_a_checkpoint_shares_the_files_and_goes_its_own_way(path, tmp_path):
    with opened(path, **TINY) as db:
        db.update({b"%d" % i: bytes(100) for i in range(500)})
        db.checkpoint(tmp_path / "copy")
        db.update({b"%d" % i: b"changed" for i in range(500)})
        db.compact()
        with opened(tmp_path / "copy") as copy:
            assert len(copy) == 500 and set(copy.values()) == {bytes(100)}
            copy[b"new"] = b"1"
            copy.compact()
        assert b"new" not in db and set(db.values()) == {b"changed"}
