"""Threads share a database freely: everything at once, and every value checks itself.

No test here depends on timing: threads run a fixed number of operations, or until the writers have ended.
"""

import random
import threading

import lsm
import pytest
from crew import JOIN, Crew, checked, content
from model import TINY

from lsm.tree.flush import flush_oldest

WRITERS, KEYS, ROUNDS = 3, 60, 40


def test_readers_scanners_snapshots_flush_and_compaction_among_writers(path):
    """Each writer owns its keys and raises their counters by whole batches: counters never fall, batches never tear."""
    ended = threading.Event()

    def key(writer, index):
        return b"w%d:%03d" % (writer, index)

    def write(db, writer):
        for counter in range(1, ROUNDS + 1):
            with db.write_batch(sync=counter % 20 == 0) as batch:
                for index in range(KEYS):
                    batch.put(key(writer, index), checked(b"%s=%d" % (key(writer, index), counter)))
            for index in range(0, KEYS, 7):
                assert content(db[key(writer, index)]) == b"%s=%d" % (key(writer, index), counter)

    def counter_of(found_key, value):
        owner, _, counter = content(value).partition(b"=")
        assert owner == found_key
        return int(counter)

    def read(db, seed):
        rng, seen = random.Random(seed), {}
        while not ended.is_set():
            wanted = key(rng.randrange(WRITERS), rng.randrange(KEYS))
            value = db.get(wanted)
            if value is not None:
                counter = counter_of(wanted, value)
                assert counter >= seen.get(wanted, 0), "a counter fell"
                seen[wanted] = counter
            else:
                assert wanted not in seen, "a key vanished"

    def scan(db, reverse):
        while not ended.is_set():
            for writer in range(WRITERS):
                rows = list(db.scan(prefix=b"w%d:" % writer, reverse=reverse))
                assert len(rows) in (0, KEYS), "a batch was seen in part"
                assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=reverse)
                assert len({counter_of(*row) for row in rows}) <= 1, "a batch was seen in part"

    def hold_snapshots(db):
        while not ended.is_set():
            with db.snapshot() as snapshot:
                first = dict(snapshot.scan())
                for found, value in first.items():
                    assert snapshot[found] == value
                assert dict(snapshot.scan()) == first
                cursor = snapshot.cursor()
                there, count = cursor.last(), 0
                while there:
                    assert first[cursor.key] == cursor.value
                    there, count = cursor.prev(), count + 1
                assert count == len(first)

    def shake(db):
        while not ended.is_set():
            db.flush()
            db.compact()
            str(db.stats())

    with lsm.open(path, **TINY) as db:
        crew = Crew()
        for number in range(WRITERS):
            crew.add(write, db, number)
        writers = list(crew.threads)
        crew.add(read, db, 1)
        crew.add(scan, db, False)
        crew.add(scan, db, True)
        crew.add(hold_snapshots, db)
        crew.add(shake, db)
        crew.start()
        for thread in writers:
            thread.join(JOIN)
        ended.set()
        crew.join()
        expected = {key(writer, index): checked(b"%s=%d" % (key(writer, index), ROUNDS))
                    for writer in range(WRITERS) for index in range(KEYS)}
        assert dict(db.scan()) == expected
        assert db.verify()
    with lsm.open(path) as db:
        assert dict(db.scan()) == expected


def test_concurrent_synced_writers_all_get_their_word(path):
    def write(db, writer):
        for number in range(50):
            db.put(b"%d:%03d" % (writer, number), checked(b"%d" % number), sync=True)

    with lsm.open(path) as db:
        crew = Crew()
        for writer in range(8):
            crew.add(write, db, writer)
        crew.start().join()
        assert len(db) == 400
        assert 1 <= db.stats().syncs
    with lsm.open(path) as db:
        assert all(content(value) == b"%d" % int(key[2:]) for key, value in db.scan())
        assert len(db) == 400


def test_two_threads_racing_on_one_key_leave_one_of_the_last_values(db):
    def write(writer):
        for number in range(2000):
            db[b"key"] = checked(b"%d:%d" % (writer, number))

    crew = Crew()
    crew.add(write, 0)
    crew.add(write, 1)
    crew.start().join()
    assert content(db[b"key"]) in (b"0:1999", b"1:1999")
    assert list(db) == [b"key"]


@pytest.mark.parametrize("kind", ["cursor", "scan", "snapshot", "batch"])
def test_one_object_in_many_threads_is_right_or_busy_but_never_wrong(path, kind):
    rows = {b"%04d" % number: checked(b"%04d" % number) for number in range(800)}
    busy = lsm.BusyError

    def use_cursor(cursor):
        for _ in range(2000):
            try:
                cursor.next() or cursor.first()
                found, value = cursor.key, cursor.value
            except busy:
                continue
            assert found is None or found in rows
            assert value is None or content(value) in rows

    def use_scan(scan):
        while True:
            try:
                key, value = next(scan)
            except busy:
                continue
            except StopIteration:
                return
            assert rows[key] == value
            met.append(key)

    def use_snapshot(snapshot):
        for number in range(0, 800, 5):
            assert snapshot[b"%04d" % number] == rows[b"%04d" % number]
        assert dict(snapshot.scan()) == rows

    def use_batch(batch):
        for key, value in rows.items():
            while True:
                try:
                    batch.put(key, value)
                    break
                except busy:
                    continue

    met = []
    with lsm.open(path, **TINY) as db:
        db.write_many(rows)
        shared = {"cursor": db.cursor, "scan": db.scan, "snapshot": db.snapshot, "batch": db.write_batch}[kind]()
        use = {"cursor": use_cursor, "scan": use_scan, "snapshot": use_snapshot, "batch": use_batch}[kind]
        crew = Crew()
        for _ in range(4):
            crew.add(use, shared)
        crew.start().join()
        if kind == "scan":
            assert sorted(met) == sorted(rows), "a row was given twice or not at all"
        if kind == "batch":
            assert len(shared) == 4 * len(rows)
            shared.write()
        assert dict(db.scan()) == rows


def test_a_thread_that_ends_leaves_its_cursor_usable_and_droppable(db):
    db.update({b"a": b"1", b"b": b"2"})
    made = []
    thread = threading.Thread(target=lambda: made.append((db.cursor(), db.scan(), db.snapshot())))
    thread.start()
    thread.join(JOIN)
    cursor, rows, snapshot = made.pop()
    assert cursor.first() and cursor.key == b"a"
    assert list(rows) == [(b"a", b"1"), (b"b", b"2")]
    assert snapshot[b"b"] == b"2"


def test_writers_that_wait_for_the_disk_share_its_syncs(path):
    """Group commit: eight threads, each write synced, and fewer syncs than writes. Where a sync takes no time, as in memory, threads
    may never meet in one: then again."""
    def write(number):
        for step in range(50):
            db.put(b"%d %d" % (number, step), b"v", sync=True)

    with lsm.open(path) as db:
        for again in range(1, 51):
            crew = Crew()
            for number in range(8):
                crew.add(write, number)
            crew.start().join()
            assert len(db) == 400
            if db.stats().syncs < 400 * again:
                return
    raise AssertionError("every write had a sync of its own")


def test_a_cursor_used_by_two_threads_is_right_or_busy_while_each_step_reads_a_file(path):
    rows = {b"%04d" % number: checked(b"%04d" % number) for number in range(500)}

    def step(cursor, number):
        for count in range(3000):
            try:
                cursor.seek(b"%04d" % (count * 7 % 500)) if number else cursor.next() or cursor.first()
                found, value = cursor.key, cursor.value
            except lsm.BusyError:
                continue
            assert found is None or found in rows
            assert value is None or content(value) in rows

    with lsm.open(path, **{**TINY, "block_cache_bytes": 0, "block_bytes": 64}) as db:
        db.write_many(rows)
        db.compact()
        cursor = db.cursor()
        crew = Crew()
        for number in range(3):
            crew.add(step, cursor, number)
        crew.start().join()
        assert cursor.first() and cursor.key == b"0000"
        cursor.close()


def test_a_flush_waits_for_what_was_written_before_it_and_not_for_others(path, monkeypatch):
    """Among writers that always had another memtable sealed it never came back."""
    with lsm.open(path, _background=False) as db:
        db[b"k"] = b"v"
        asked = []
        monkeypatch.setattr(db._shaker, "wait", asked.append)
        db.flush()
        assert not asked[0]()
        db[b"l"] = b"w"
        db._seal()
        flush_oldest(db._tree)
        assert len(db._tree.sealed) == 1 and asked[0]()


def test_a_lone_thread_that_syncs_waits_for_no_others(db):
    """Its round once counted the writes it had made durable, and waited for as many before the next sync."""
    for number in range(100):
        db[b"%d" % number] = b"v"
    db.sync()
    assert db._group == 1
    db.put(b"a", b"1", sync=True)
    assert db._group == 1
