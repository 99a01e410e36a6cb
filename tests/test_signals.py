"""Signals: an exception raised by a handler in the middle of any operation leaves the store whole.

A timer fires every few hundred microseconds and its handler raises. Where it strikes is by chance; what must hold is not:
a write that was interrupted was done or not done, a batch whole or not at all, and everything else is as before.
"""

import signal
import threading

import lsm
import pytest
from child import run
from model import TINY


class Struck(Exception):
    pass


@pytest.fixture
def strikes():
    """`with strikes(seconds):` raises Struck in the main thread after about so long, unless the block ended before."""
    class Strikes:
        def __init__(self, seconds):
            self.seconds = seconds

        def __enter__(self):
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

        def __exit__(self, *error):
            signal.setitimer(signal.ITIMER_REAL, 0)

    def strike(number, frame):
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    yield Strikes
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def refuses_writes(db):
    try:
        db.write_many([])
        db.write_batch().write()
        db.delete(b"none")
    except lsm.ReadOnlyError as error:
        assert isinstance(error.__cause__, Struck)
        return True
    return False


# pytest-timeout uses the same alarm by default; here a watching thread does its work
@pytest.mark.timeout(120, method="thread")
def test_a_handler_that_raises_anywhere_leaves_the_store_whole(path, strikes, rng):
    model = {}
    db = lsm.open(path, **TINY)

    def batch(number):
        rows = {b"%03d" % rng.randrange(300): b"%d:" % number + rng.randbytes(60) for _ in range(rng.randrange(1, 200))}
        return rows, lambda: db.write_many(rows)

    def blocks(number):
        rows, _ = batch(number)

        def write():
            with db.write_batch(sync=rng.random() < 0.2) as writes:
                for key, value in rows.items():
                    writes.put(key, value)
        return rows, write

    def reading(number):
        return {}, rng.choice((lambda: list(db.scan()), lambda: list(db.scan(reverse=True)), lambda: len(db), db.flush,
                               db.compact, db.verify, db.sync, lambda: db.multi_get(list(model))))

    struck = stopped = 0
    for number in range(400):
        rows, work = rng.choice((batch, blocks, reading))(number)
        try:
            with strikes(rng.random() * 0.003 + 0.00002):
                work()
        except Struck:
            struck += 1
            now = dict(db.scan())
            if refuses_writes(db):  # struck in the middle of a durable step: safe, until opened again
                stopped += 1
                db.close()
                db = lsm.open(path)
            assert now in (model, {**model, **rows}), f"{number}: neither before nor after"
            model = now
        else:
            model.update(rows)
        if number % 50 == 0:
            assert dict(db.scan()) == model
    print(f"struck {struck} times, {stopped} times it took no more writes")
    assert dict(db.scan()) == model and db.verify()
    db.close()
    with lsm.open(path) as db:
        assert dict(db.scan()) == model


@pytest.mark.timeout(120, method="thread")
def test_open_and_close_struck_by_a_signal_leave_no_lock_behind(path, strikes, rng):
    model = {b"%04d" % number: b"v" * 50 for number in range(1000)}
    with lsm.open(path, **TINY) as db:
        db.write_many(model)
    for _ in range(60):
        db = None
        try:
            with strikes(rng.random() * 0.004 + 0.00002):
                db = lsm.open(path)
                db.close()
        except Struck:
            if db is not None:
                db.close()
                assert db.closed
    with lsm.open(path) as db:
        assert dict(db.scan()) == model
    assert threading.active_count() < 20


def test_ctrl_c_ends_a_long_operation_without_harm(path):
    with lsm.open(path, **TINY) as db:
        db.write_many((b"%06d" % number, b"v" * 50) for number in range(20_000))
    run("""
import signal, threading
db = lsm.open(sys.argv[1])
def count():
    while True: len(db)
def scan():
    while True:
        for _ in db.scan(): pass
def compact():
    while True: db.compact()
def verify():
    while True: db.verify()
for work in (count, scan, compact, verify):
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        work()
    except KeyboardInterrupt:
        pass
assert len(db) == 20_000
db.close()
""", path)


def test_sigint_during_a_batch_block_rolls_it_back(db):
    with pytest.raises(KeyboardInterrupt), db.write_batch() as batch:
        batch.put(b"a", b"1")
        signal.raise_signal(signal.SIGINT)
    assert not db
