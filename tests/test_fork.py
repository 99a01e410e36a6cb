"""Forks: the child of a fork gets an error from the parent's database, and nothing it does, or dying, harms the parent.

Every scene is a script of its own, so that the forks do not copy the test runner.
"""

import os
import signal
import textwrap

import lsm
import pytest
from child import Child, run

OPENED = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tested
db = lsm.open(sys.argv[1], memtable_bytes=16384)
db.write_many((b"%04d" % n, b"v" * 50) for n in range(1000))
db.flush()
db.write_many((b"%04d" % n, b"w" * 50) for n in range(500))
def in_child(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work(); status = 0
        except BaseException:
            import traceback; traceback.print_exc()
        finally:
            sys.stdout.flush(); sys.stderr.flush(); os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the child failed"
def parent_is_well():
    for n in range(100): db[b"after %d" % n] = b"x" * 50
    assert db[b"0001"] == b"w" * 50 and db[b"0999"] == b"v" * 50
    assert len(list(db.scan())) == 1100
    db.flush(); db.compact()
    assert db.verify()
    db.close()
    with lsm.open(sys.argv[1]) as again: assert len(again) == 1100
"""


LETS_GO = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
def a_child_lets_go(db):
    pid = os.fork()
    if pid == 0:
        try:
            db.get(b"key")
        except lsm.ForkedError:
            db.close()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def scene(script, path):
    return run(OPENED + script, path)


def parting(script, *arguments):
    return run(LETS_GO + textwrap.dedent(script), *arguments)


def test_every_use_in_the_child_is_an_error_and_the_parent_is_unharmed(path):
    scene("""
rows, cursor, snapshot, batch = db.scan(), db.cursor(), db.snapshot(), db.write_batch()
next(rows); cursor.first(); batch.put(b"k", b"v")
def uses():
    for use in (lambda: db.put(b"a", b"1"), lambda: db.get(b"0001"), lambda: db.delete(b"a"), lambda: db[b"0001"],
                lambda: b"0001" in db, lambda: len(db), lambda: bool(db), db.scan, db.cursor, db.snapshot, db.flush,
                db.compact, db.sync, db.verify, db.stats, lambda: db.checkpoint(sys.argv[1] + "-copy"),
                lambda: db.write_many([(b"a", b"1")]), lambda: db.multi_get([b"a"]), batch.write, lambda: next(rows),
                cursor.next, cursor.first, lambda: cursor.seek(b"a"), lambda: snapshot.get(b"0001"), snapshot.scan):
        try:
            use()
        except lsm.ForkedError as error:
            assert "fork" in str(error)
        else:
            raise AssertionError("a use in the child was not refused")
in_child(uses)
assert next(rows) == (b"0001", b"w" * 50) and cursor.next() and snapshot[b"0001"] == b"w" * 50
for thing in (rows, cursor, snapshot):
    getattr(thing, "close", int)()
del rows, cursor, snapshot
parent_is_well()
""", path)


@pytest.mark.parametrize("end", ["db.close()", "del globals()['db']; import gc; gc.collect()", "sys.exit(0)", "None"])
def test_a_child_that_closes_drops_or_exits_harms_nothing(path, end):
    """`sys.exit` runs the child's interpreter to its end, with every finalizer."""
    scene(f"""
before = sorted(os.listdir(sys.argv[1]))
pid = os.fork()
if pid == 0:
    import warnings; warnings.simplefilter("ignore")
    db._background().stop = lambda *_: os._exit(9)      # the thread is the parent's: every exit of a child waited 30 s for it
    {end}
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert sorted(os.listdir(sys.argv[1])) == before, "the child touched the files"
import subprocess
probe = subprocess.run([sys.executable, "-c",
    "import lsm, sys\\ntry: lsm.open(sys.argv[1])\\nexcept lsm.LockedError: sys.exit(7)", sys.argv[1]])
assert probe.returncode == 7, "the child gave the parent's lock away"
parent_is_well()
""", path)


def test_a_child_may_open_another_database_and_the_same_one_once_it_is_free(path):
    scene("""
def other():
    with lsm.open(sys.argv[1] + "-other") as mine:
        mine[b"a"] = b"1"; mine.flush(); assert mine[b"a"] == b"1"
    try:
        lsm.open(sys.argv[1])
    except lsm.LockedError as error:
        assert error.pid == os.getppid(), error.pid
    else:
        raise AssertionError("two processes hold one database")
    with lsm.open(sys.argv[1], read_only=True) as seen:
        assert seen[b"0001"] == b"w" * 50
in_child(other)
parent_is_well()
""", path)


def test_a_living_child_does_not_keep_the_lock_of_a_parent_that_closed(path):
    scene("""
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writer)
    os.read(reader, 1)  # until the parent is done
    os._exit(0)
db.close()
db = lsm.open(sys.argv[1])
os.close(writer)
os.waitpid(pid, 0)
parent_is_well()
""", path)


@pytest.mark.parametrize("how", ["fork", "exec"])
def test_a_living_child_does_not_keep_the_lock_of_a_parent_that_was_killed(path, how):
    start = {"fork": "pid = os.fork()\nif pid == 0:\n    import time; time.sleep(60); os._exit(0)",
             "exec": "import subprocess; pid = subprocess.Popen(['sleep', '60'], close_fds=False).pid"}[how]
    with Child(OPENED + start + "\nprint(pid, flush=True)\nsys.stdin.readline()", path) as parent:
        orphan = int(parent.hear())
        try:
            with pytest.raises(lsm.LockedError):
                lsm.open(path)
            parent.process.kill()
            parent.process.wait(30)
            with lsm.open(path, lock_timeout=10) as db:
                assert len(db) == 1000
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_forks_under_load_never_hang_or_harm(path):
    scene("""
import threading
stop = threading.Event()
def load():
    n = 0
    while not stop.is_set():
        db[b"%04d" % (n % 1000)] = b"w" * 50; n += 1
        if n % 200 == 0: db.flush()
threads = [threading.Thread(target=load) for _ in range(2)]
for thread in threads: thread.start()
def refused():
    for use in (lambda: db.get(b"0001"), lambda: db.put(b"a", b"1"), db.close):
        try: use()
        except lsm.ForkedError: pass
try:
    for _ in range(40): in_child(refused)
finally:
    stop.set()
    for thread in threads: thread.join()
db.write_many((b"%04d" % n, (b"w" if n < 999 else b"v") * 50) for n in range(1000))
parent_is_well()
""", path)


def test_a_multiprocessing_pool_by_fork_beside_an_open_database(path):
    scene("""
import multiprocessing
def square(number):
    try: db.get(b"0001")
    except lsm.ForkedError: return number * number
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(square, range(20)) == [number * number for number in range(20)]
parent_is_well()
""", path)


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_a_child_does_not_end_what_its_parent_had_no_memory_to_end(path, engine):
    """`close` had raised MemoryError; the child's `close` then flushed into the parent's directory, whose rows were lost."""
    parting("""
        path, engine = sys.argv[1:]
        db = lsm.open(path, engine=engine)
        db.write_many((b"%04d" % n, b"v" * 50) for n in range(2000))
        background = db._background()
        stop = background.stop
        def once(*given):
            stop(*given)
            background.stop = stop
            raise MemoryError
        background.stop = once
        try:
            db.close()
        except MemoryError:
            pass
        before = sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(path))
        a_child_lets_go(db)
        assert sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(path)) == before
        db.close()
        with lsm.open(path, engine=engine) as again:
            assert len(again) == 2000 and again.verify()
    """, path, engine)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("when", ["open", "put", "compact", "close"])
@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_the_child_of_a_fork_that_a_handler_makes_in_the_middle_of_a_call_hears_of_it(path, engine, when, moment):
    """The child waited for ever for a thread that only its parent has; or took what the parent's thread had made for its own, and
    wrote over what the parent wrote then."""
    run("""
        import signal, threading, time, warnings; warnings.simplefilter("ignore", DeprecationWarning)
        path, engine, when, moment = sys.argv[1:]
        small = {"file_bytes": 1 << 16} if engine == "hashlog" else {"memtable_bytes": 1 << 16}
        forked, armed = [], []
        def handler(*_):
            forked.append(os.fork())
        signal.signal(signal.SIGUSR1, handler)
        def interrupted(work):
            def step(*given):
                if not armed or forked:
                    return work(*given)
                answer = work(*given) if moment == "after" else None
                os.kill(os.getpid(), signal.SIGUSR1)
                while not forked:
                    time.sleep(0.01)
                return answer if moment == "after" else work(*given)
            return step
        with lsm.open(path, engine=engine, **small) as db:
            kind = type(db)
        class Interrupted(kind):
            def _uninterrupted(self, work):
                super()._uninterrupted(interrupted(work) if when == "open" else work)
        try:
            if when == "open":
                armed.append(True)
            db = Interrupted(path, **small)
            db.write_many((b"%05d" % n, bytes(100)) for n in range(300))
            if when == "put":
                db._rotate = interrupted(db._rotate)
            background = db._background()
            background.step = interrupted(background.step) if when == "compact" else background.step
            db._settle = interrupted(db._settle) if when == "close" else db._settle
            armed.append(True)
            written = 0
            while when == "put" and not forked:
                db[b"%05d" % (300 + written)] = bytes(100)
                written += 1
            db.compact() if when == "compact" else None
            db.close()
        except lsm.ForkedError:
            assert forked == [0]
            os._exit(0)
        assert forked and forked[0], "the child went on as if nothing had been"
        assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 0
        with lsm.open(path, engine=engine) as again:
            assert len(again) == 300 + written and again.verify()
    """, path, engine, when, moment)


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_a_child_forked_while_its_parent_waits_for_the_lock_hears_of_it(path, engine):
    """It was told that its file system was read-only."""
    run("""
        import signal, warnings; warnings.simplefilter("ignore", DeprecationWarning)
        path, engine = sys.argv[1:]
        holder, forked = lsm.open(path, engine=engine), []
        signal.signal(signal.SIGALRM, lambda *_: forked.append(os.fork()))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            lsm.open(path, engine=engine, lock_timeout=0.6)
        except lsm.ForkedError:
            os._exit(0 if forked == [0] else 1)
        except lsm.LockedError:
            assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 0
        else:
            raise AssertionError("opened twice")
        holder.close()
    """, path, engine)


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_a_fork_while_another_thread_closes_leaves_the_child_nothing_to_wait_for(path, engine):
    parting("""
        import threading
        path, engine = sys.argv[1:]
        db = lsm.open(path, engine=engine)
        db[b"a"] = b"1"
        settle, begun, go_on = db._settle, threading.Event(), threading.Event()
        def slowly():
            begun.set()
            go_on.wait()
            settle()
        db._settle = slowly
        closing = threading.Thread(target=db.close)
        closing.start()
        begun.wait()
        a_child_lets_go(db)
        go_on.set()
        closing.join()
        with lsm.open(path, engine=engine) as again:
            assert again[b"a"] == b"1"
    """, path, engine)
