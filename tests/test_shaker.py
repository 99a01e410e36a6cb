"""The tree shaker: back-pressure, who waits for it, how it ends. Errors: test_shaker_errors; merges: test_long_merge.

Where the order of things matters there is no thread (`background=False`), or it is held where the test wants it.
"""
import gc
import threading
import time
import warnings
import weakref

import pytest
from crash_engine import open_on

import lsm
from lsm import _core
from lsm.errors import ClosedError
from lsm.tree import flush as flushing
from lsm.tree import shaker as shaking
from lsm.tree.compaction import NOTHING, Leveled, merge_everything
from lsm.tree.shaker import SLOWEST
from lsm.tree.tree import SEALED_MAX

SMALL = {"memtable_bytes": 8 << 10, "table_bytes": 4 << 10, "block_bytes": 256, "compression": "none"}


class Never:
    """Compacts nothing until it is allowed to."""

    def __init__(self):
        self.allowed = False

    def choose(self, version, options):
        return merge_everything(version) if self.allowed and version.table_count(0) else NOTHING


def until(condition):
    """Wait for something that another thread is about to do."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)


def several_tables(db, count, rows=20):
    for number in range(count):
        db.write_many((b"%03d" % row, b"%d:" % number + b"v" * 50) for row in range(rows))
        db.flush()


class Held:
    """Holds the shaker in front of each flush until `go`; `came` when it is there."""

    def __init__(self, monkeypatch):
        self.came, self.go = threading.Event(), threading.Event()
        monkeypatch.setattr(shaking, "flush_oldest", self)

    def __call__(self, tree):
        self.came.set()
        assert self.go.wait(60)
        flushing.flush_oldest(tree)


class Aside(threading.Thread):
    """Something done in another thread; `result()` waits for it and raises what it raised."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.error = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def result(self):
        self.join(60)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


# ------------------------------------------------------------------ back-pressure


def test_writers_are_slowed_more_and_more_before_they_are_stopped(monkeypatch):
    rates = []

    class Recorded(lsm.DB):
        def _slow(self, rate):
            rates.append(rate)
            super()._slow(0)            # no sleeping in a test

    policy = Never()
    db = Recorded("/simulated", _directory=_core.SimulatedDirectory(), _background=False, compaction=policy,
                  slowdown_tables=3, stop_tables=8)
    db._shaker.pace.rate = 64e6
    for tables in range(1, 9):
        assert db._shaker.may_rotate() is True
        db.put(b"k%d" % tables, b"v")
        db.flush()
        assert len(db._tree.version.levels[0]) == tables
        assert (rates[-1] == 0) is (tables < 3)
    slowed = rates[2:]
    assert slowed == sorted(slowed, reverse=True) and slowed[0] == 64e6 and slowed[-1] == SLOWEST
    assert db._shaker.may_rotate() is False
    policy.allowed = True
    db._shaker.shake()
    assert db._shaker.may_rotate() is True and rates[-1] == 0
    db.close()


def test_a_slowed_writer_is_slow_and_a_freed_one_is_not():
    db = open_on(_core.SimulatedDirectory(), {})
    db._slow(1e6)
    assert db._gate & _core.GATE_SLOW_FLAG
    for _ in range(5):
        db.put(b"k", b"v" * 10_000)
    assert 0.02 < db.stats().slowed_seconds
    db._slow(0)
    assert not db._gate & _core.GATE_SLOW_FLAG
    db.close()


def test_writers_wait_while_sealed_max_memtables_wait_to_be_flushed(path, monkeypatch):
    held = Held(monkeypatch)
    rows = [(b"%05d" % number, b"v" * 200) for number in range(1000)]
    with lsm.open(path, **SMALL) as db:
        writer = Aside(lambda: [db.put(key, value) for key, value in rows])
        assert held.came.wait(60)
        until(lambda: len(db._tree.sealed) == SEALED_MAX)
        until(lambda: db._shaker.bell._waiting)             # the writer: the shaker is held elsewhere
        reached = db._sequence
        assert writer.is_alive() and 0 < reached < len(rows) and len(db._tree.sealed) == SEALED_MAX
        assert db[b"00000"] == b"v" * 200, "reading goes on"
        held.go.set()
        writer.result()
        assert list(db.scan()) == rows
        stats = db.stats()
        assert stats.stalls >= 1 and 0 < stats.longest_stall_seconds <= stats.stall_seconds


def test_writers_wait_at_stop_tables_until_a_compaction_has_made_room(path):
    policy = Never()
    with lsm.open(path, **{**SMALL, "compaction": policy}, slowdown_tables=2, stop_tables=3) as db:
        several_tables(db, 3)
        writer = Aside(lambda: [db.put(b"%05d" % n, b"v" * 200) for n in range(300)])
        until(lambda: db._tree.memtable.bytes >= SMALL["memtable_bytes"] and len(db._shaker.bell._waiting) == 2)    # the shaker too
        assert writer.is_alive() and len(db._tree.version.levels[0]) >= 3
        policy.allowed = True
        db._shaker.tell()
        writer.result()
        assert sum(1 for _ in db.scan()) == 320 and db.stats().stalls >= 1


# ------------------------------------------------------------------ waiting, ending


def test_who_waits_for_a_flush_learns_that_the_database_was_closed(path, monkeypatch):
    held = Held(monkeypatch)
    db = lsm.open(path)
    db[b"k"] = b"v"
    flusher = Aside(db.flush)
    assert held.came.wait(60)
    closing = Aside(db.close)
    with pytest.raises(ClosedError):
        flusher.result()
    held.go.set()
    closing.result()
    with lsm.open(path) as db:
        assert dict(db.items()) == {b"k": b"v"}


def test_all_who_ask_for_a_compaction_get_one(path):
    with lsm.open(path, **{**SMALL, "compaction": Never()}) as db:
        several_tables(db, 3)
        for asked in [Aside(db.compact) for _ in range(5)]:
            asked.result()
        assert db._tree.version.table_count(0) == 0 and not db._shaker.wanted
        assert len(db) == 20


def test_a_compaction_of_what_is_settled_rewrites_nothing():
    db = open_on(_core.SimulatedDirectory(), {**SMALL, "compaction": Leveled()})
    several_tables(db, 2)
    db.compact()
    version, done = db._tree.version, db.stats().bytes_compacted_out
    db.compact()
    assert db._tree.version == version and db.stats().bytes_compacted_out == done
    db.delete(b"000")
    db.compact()
    assert db.stats().tables >= 1 and sum(table.tombstones for table in db._tree.version.tables()) == 0
    db.close()


def test_a_forgotten_database_is_collected_its_thread_ends_and_its_lock_is_free(path):
    db = lsm.open(path)
    db[b"k"] = b"v"
    db.flush()                                  # the thread has work behind it, and waits for more
    gone, thread = weakref.ref(db), db._shaker.thread
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)        # recorded, it would hold the database
        del db
        until(lambda: gc.collect() is not None and gone() is None)
    thread.join(60)
    assert not thread.is_alive()
    with lsm.open(path) as again:
        assert dict(again.items()) == {b"k": b"v"}


def test_a_background_thread_that_python_takes_for_ended_is_waited_for(path, monkeypatch):
    """What is left when a signal's handler raised in `Thread.is_alive` (bpo-45274): Python says that the thread has ended, and does
    not wait for it. Closing would then flush beside it, and give the lock away while it still wrote."""
    with lsm.open(path, memtable_bytes=4096) as db:
        thread = db._shaker.thread
        monkeypatch.setattr(thread, "is_alive", lambda: False)
        monkeypatch.setattr(thread, "join", lambda timeout=None: None)
        for number in range(300):
            db[b"%04d" % number] = bytes(100)
        db.flush()
        db.compact()
        held, entered, go_on = db._shaker.tree.lock, threading.Event(), threading.Event()

        def hold():
            with held:
                entered.set()
                go_on.wait(60)

        holder = Aside(hold)
        assert entered.wait(60)
        db[b"more"] = b"1"
        closing = Aside(db.close)
        closing.join(0.2)
        assert closing.is_alive()
        go_on.set()
        holder.result()
        closing.result()
        assert db._shaker.ended
    with lsm.open(path) as db:
        assert len(db) == 301 and db.verify()
