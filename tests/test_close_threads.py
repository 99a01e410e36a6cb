"""close() while other threads read, scan, write, flush and compact: they end with ClosedError, and with nothing else."""

import threading

import lsm
import pytest
from crew import JOIN, Crew
from model import TINY

ENDLESS = {
    "put": lambda db: db.put(b"key", b"value" * 20),
    "sync": lambda db: db.put(b"key", b"value", sync=True),
    "batch": lambda db: db.write_many((b"%d" % number, b"v" * 100) for number in range(50)),
    "get": lambda db: db.get(b"key"),
    "multi_get": lambda db: db.multi_get([b"%d" % number for number in range(50)]),
    "scan": lambda db: [row for row in db.scan()],
    "backward": lambda db: [row for row in db.scan(reverse=True)],
    "snapshot": lambda db: db.snapshot().get(b"key"),
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
