"""close() while other threads read, scan, write, flush and compact: they end with ClosedError, and with nothing else."""

import threading

import lsm
import pytest
from crew import JOIN, Crew
from model import TINY

from lsm import lifecycle
from lsm.tree import inspect
from lsm.tree.tree import Tree

ENDLESS = {
    "put": lambda db: db.put(b"key", b"value" * 20),
    "sync": lambda db: db.put(b"key", b"value", sync=True),
    "batch": lambda db: db.write_many((b"%d" % number, b"v" * 100) for number in range(50)),
    "get": lambda db: db.get(b"key"),
    "multi_get": lambda db: db.multi_get([b"%d" % number for number in range(50)]),
    "scan": lambda db: [row for row in db.scan()],
    "backward": lambda db: [row for row in db.scan(reverse=True)],
    "snapshot": lambda db: db.snapshot().get(b"key"),
    "cursor": lambda db: [db.cursor().first(), db.cursor().seek(b"key")],
    "open scan": lambda db: next(iter(db.scan()), None),
    "sync alone": lambda db: db.sync(),
    "held snapshot": lambda db: [list(then.scan(limit=5)) for then in [db.snapshot(), db.snapshot()]],
    "flush": lambda db: db.flush(),
    "compact": lambda db: db.compact(),
    "verify": lambda db: db.verify(),
    "stats": lambda db: db.stats(),
    "len": lambda db: len(db),
}


@pytest.mark.parametrize("turn", range(6))
def test_close_under_running_threads_ends_them_with_closed_error_only(path, turn):
    db = lsm.open(path, **TINY)
    db.write_many((b"%04d" % number, b"v" * 50) for number in range(500))
    began = threading.Semaphore(0)
    ended = []

    def run(operation):
        try:
            for count in range(10**9):
                operation(db)
                if count == turn:
                    began.release()
        except lsm.ClosedError as error:
            ended.append(error)

    crew = Crew()
    for operation in ENDLESS.values():
        crew.add(run, operation)
    crew.start()
    for _ in range(turn * 2):
        assert began.acquire(timeout=JOIN)
    db.close()
    crew.join()
    assert len(ended) == len(ENDLESS)
    with lsm.open(path) as again:
        assert len(again) >= 500 and again.verify()


def test_many_threads_closing_at_once_is_one_close(path):
    for _ in range(10):
        db = lsm.open(path)
        db[b"key"] = b"value"
        crew = Crew()
        for _ in range(6):
            crew.add(db.close)
        crew.start().join()
        assert db.closed


def test_scans_and_cursors_opened_before_close_end_with_closed_error(path):
    db = lsm.open(path, **TINY)
    db.write_many((b"%04d" % number, b"v" * 50) for number in range(3000))
    met = threading.Barrier(5)
    ended = []

    def walk(open_rows):
        rows = open_rows()
        next(rows)
        met.wait(JOIN)
        try:
            while True:
                for _ in rows:
                    pass
                rows = open_rows()
        except lsm.ClosedError as error:
            ended.append(error)

    def rows_of_cursor():
        cursor = db.cursor()
        there = cursor.first()
        while there:
            yield cursor.key, cursor.value
            there = cursor.next()

    crew = Crew()
    for open_rows in (db.scan, lambda: db.scan(reverse=True), lambda: db.snapshot().scan(), rows_of_cursor):
        crew.add(walk, open_rows)
    crew.start()
    met.wait(JOIN)
    db.close()
    crew.join()
    assert len(ended) == 4


@pytest.mark.parametrize("operation", ["cursor", "scan", "snapshot", "sync"])
def test_what_is_opened_at_the_moment_of_closing_works_or_raises_closed_error(path, operation):
    """Many short lives: each closes while four threads have just begun to open cursors, scans, snapshots, or to sync."""
    use = {"cursor": lambda db: db.cursor().last(), "scan": lambda db: list(db.scan(reverse=True, limit=3)),
           "snapshot": lambda db: db.snapshot().multi_get([b"1", b"2"]), "sync": lambda db: db.sync()}[operation]

    def run(db):
        with pytest.raises(lsm.ClosedError):
            while True:
                use(db)

    for turn in range(15):
        db = lsm.open(path, **TINY)
        db.write_many((b"%d" % number, b"v" * 50) for number in range(100))
        crew = Crew()
        for _ in range(4):
            crew.add(run, db)
        crew.add(db.close)
        crew.start().join()
        assert not db._moments and db.closed


def test_stats_and_verify_that_come_too_late_say_that_the_database_is_closed(path, monkeypatch):
    """The tables were let go between the look at the gate and the look at the tree: KeyError, or a bad descriptor."""
    for read_only in (False, True):
        db = lsm.open(path, read_only=read_only)
        if not read_only:
            db.update({b"a": b"1"})
            db.flush()
        shaker = db._shaker
        genuine = inspect._verify_manifest
        monkeypatch.setattr(inspect, "_verify_manifest", lambda *arguments: (genuine(*arguments), db._tree.directory.close())[0])
        monkeypatch.setattr(db, "_check_open", lambda: None)
        monkeypatch.setattr(Tree, "check_open", lambda tree: db.close() or tree.store._refuse())
        with pytest.raises(lsm.ClosedError):
            db.verify()
        monkeypatch.undo()
        with pytest.raises(lsm.ClosedError):
            inspect.stats(db._tree, db, shaker)
        with pytest.raises(lsm.ClosedError):
            inspect.verify(db._tree, read_only)


def test_databases_opened_and_closed_while_the_living_are_counted(monkeypatch):
    """At exit: RuntimeError, set changed size during iteration."""
    class Shaken:
        left = 3

        def __iter__(self):
            self.left -= 1
            if self.left:
                raise RuntimeError("Set changed size during iteration")
            return iter(["db"])

    monkeypatch.setattr(lifecycle, "_alive", Shaken())
    assert lifecycle._living(lifecycle._alive) == ["db"]
