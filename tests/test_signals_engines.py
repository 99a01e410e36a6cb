"""Signals: every engine stays whole, and lets nobody wait for ever, though a handler raises in the middle of anything.

A timer fires, and its handler raises, at random in each of some hundreds of operations. In a process of its own: a hang is a
failure there, and the tests' own timeout uses the same alarm. Before and after are the only states allowed.
"""
import threading

import lsm
import pytest
from child import run
from engines import ENGINES, OPTIONS
from lsm.contract.uninterrupted import uninterrupted

SMALL = {"lsm": {"memtable_bytes": 20_000, "table_bytes": 20_000}, "pylsm": {"memtable_bytes": 20_000, "table_bytes": 20_000},
         "btree": {"_map_bytes": 1 << 18}}
OPERATIONS = {"memory": 1500, "btree": 800, "pylsm": 120}


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "sqlite"])
def test_a_handler_that_raises_anywhere_leaves_every_engine_whole(path, engine):
    run("""
import faulthandler, random, signal, threading
faulthandler.dump_traceback_later(90, exit=True)
path, engine, count, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), eval(sys.argv[4])
rng = random.Random(engine)
class Struck(Exception): pass
armed = False
def strike(*signal):
    global armed
    if armed:
        armed = False
        raise Struck
signal.signal(signal.SIGALRM, strike)

def key(): return b"%03d" % rng.randrange(200)
def value(): return rng.choice((None, rng.randbytes(rng.randrange(1, 300))))
def batch(rows):
    with db.write_batch() as writes:
        for one, new in rows.items():
            if new is None: writes.delete(one)
            else: writes.put(one, new)
def read():
    with db.snapshot() as then, db.cursor() as cursor:
        then.get(key()), list(then.scan(key(), limit=20)), db.get(key()), db.multi_get([key(), key()])
        cursor.seek(key()), cursor.next(), cursor.prev()
def whole(): rng.choice((db.flush, db.sync, db.stats, db.compact, db.__len__))()

db, model, struck = lsm.open(path, engine=engine, **options), {}, 0
for number in range(count):
    kind = rng.randrange(10)
    rows = {key(): value() for _ in range(rng.choice((1, 1, 40)))} if kind < 6 else {}
    work = (lambda: batch(rows)) if rows else read if kind < 9 else whole
    after = {one: new for one, new in {**model, **rows}.items() if new is not None}
    try:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, rng.random() ** 2 * (3e-3 if engine == "pylsm" else 5e-4) + 1e-5)
            work()
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Struck:
        struck += 1
        now = dict(db.scan())
        try:
            db.delete(b"none")
        except lsm.ReadOnlyError as error:          # struck in the middle of a durable step: safe, until opened again
            assert isinstance(error.__cause__, Struck)
            db.close()
            db = lsm.open(path, engine=engine, **options)
            now = dict(db.scan())
        assert now in (model, after), f"{number}: neither before nor after"
        model = now
        if struck % 20 == 0:                        # nobody left a lock behind
            other = threading.Thread(target=lambda: db.put(b"none", b"1"))
            other.start()
            other.join()
            del db[b"none"]
    else:
        model = after
assert dict(db.scan()) == model
closing = threading.Thread(target=db.close)
closing.start()
closing.join()
assert db.closed
if engine != "memory":
    with lsm.open(path, engine=engine, **options) as db:
        assert dict(db.scan()) == model
print(f"struck {struck} times")
""", path, engine, OPERATIONS.get(engine, 200), {**OPTIONS.get(engine, {}), **SMALL.get(engine, {})})


def strikes_once(real):
    """`real`, and then, the first time, what a handler would raise just behind it."""
    left = [True]

    def striking(*given):
        answer = real(*given)
        if left and left.pop():
            raise KeyboardInterrupt
        return answer
    return striking


def test_a_write_interrupted_in_a_step_of_the_sorted_dict_is_finished_by_who_comes_next(monkeypatch):
    """It used to be tried again for ever: the keys that are left then do not agree with the rows."""
    from lsm.engines import memory

    with lsm.open("nowhere", engine="memory") as db:
        db.write_many({b"a": b"1", b"b": b"2", b"c": b"3"})
        monkeypatch.setattr(memory.SortedDict, "__delitem__", strikes_once(dict.__delitem__))
        with pytest.raises(KeyboardInterrupt), db.write_batch() as batch:
            batch.delete(b"a")
            batch.put(b"d", b"4")
        monkeypatch.undo()
        assert dict(db.scan()) == {b"b": b"2", b"c": b"3", b"d": b"4"} and len(db) == 3
        assert db.stats().bytes == 6


def test_a_handler_in_the_middle_of_a_batch_does_not_see_half_of_it(monkeypatch):
    """A snapshot taken there had one row of the batch, and later the others too."""
    from lsm.engines import memory

    uses = [lambda: db.snapshot(), lambda: list(db.scan()), lambda: db.get(b"a"), lambda: len(db), lambda: db.stats(),
            lambda: then[b"a"], lambda: db.write([]), lambda: db.close()]
    left, genuine = list(uses), memory.Memory._put

    def put(self, key, value):
        genuine(self, key, value)
        while left:
            with pytest.raises(lsm.BusyError, match="middle of a write"):
                left.pop()()

    with lsm.open("nowhere", engine="memory") as db, db.snapshot() as then:
        monkeypatch.setattr(memory.Memory, "_put", put)
        db.write([(b"a", b"1"), (b"b", b"1")])
        assert not left and dict(db.scan()) == {b"a": b"1", b"b": b"1"}


@pytest.mark.parametrize("engine", ["memory", "btree", "pylsm"])
def test_a_scan_gone_on_with_after_an_interruption_misses_no_row(path, engine):
    if engine not in ENGINES:
        pytest.skip("lmdb is not installed")
    with lsm.open(path, engine=engine) as db:
        db.write_many((b"%03d" % number, b"v") for number in range(300))
        rows = db.scan(limit=250)
        seen = [next(rows) for _ in range(100)]
        inner = rows._rows
        inner._rows = Raising()                     # as a handler does, in the middle of a generator
        with pytest.raises(KeyboardInterrupt):
            next(rows)
        seen += rows
        assert seen == [(b"%03d" % number, b"v") for number in range(250)]


class Raising:
    def __iter__(self):
        return self

    def __next__(self):
        raise KeyboardInterrupt


def test_work_that_may_not_be_cut_in_two_is_done_when_the_handler_is_heard():
    """The work itself has the signals sent, so that they come in its middle however slow the machine is."""
    run("""
import signal, threading, time
from lsm.contract.uninterrupted import uninterrupted
done, raised = [], []
def strike(*signal):
    if done != ["begun", "ended"]:
        raised.append(1)
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, strike)
def work(strikes):
    done.append("begun")
    for _ in range(strikes):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
        time.sleep(0.01)
    while not raised:
        time.sleep(0.01)
    done.append("ended")
for strikes in (1, 2, 20):
    try:
        uninterrupted(lambda: work(strikes), lambda: None)
    except KeyboardInterrupt:
        assert done == ["begun", "ended"]
    else:
        raise AssertionError("the handler was not heard")
    done.clear()
    raised.clear()
""")


def test_what_fails_in_another_thread_is_raised_here():
    def work():
        assert threading.current_thread() is not threading.main_thread()
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        uninterrupted(work, lambda: None)
