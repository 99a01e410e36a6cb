"""Code of the user's that comes in the middle of the engine's: signal handlers, which run in the main thread between any
two steps, and finalizers, which the garbage collector runs in whatever thread it happens to be.

Both may use the database, and may be what a thread that they wait for is waited for by. Here each is made to come at a
certain place: a hook takes the place of a function of the engine's, calls the callback, and goes on.
"""

import signal
import threading

import pytest
from child import run
from crew import JOIN
from model import TINY

import lsm
from lsm.errors import BusyError, ClosedError
from lsm.tree import checkpoint, inspect
from lsm.tree.compaction import NOTHING
from lsm.tree.shaker import Shaker
from lsm.tree.tree import Tree

pytestmark = pytest.mark.timeout(60, method="thread")


@pytest.fixture
def handled():
    """`handled(work)`: what a SIGUSR1 does from now on."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda work: signal.signal(signal.SIGUSR1, lambda number, frame: work())
    signal.signal(signal.SIGUSR1, before)


def come_in(monkeypatch, where, name, work, first=True):
    """At the next call of `where.name`, `work` is called once, before it or after it."""
    genuine, left = getattr(where, name), [work]

    def hook(*arguments, **keywords):
        if first and left:
            left.pop()()
        answer = genuine(*arguments, **keywords)
        if not first and left:
            left.pop()()
        return answer

    monkeypatch.setattr(where, name, hook)


def aside(work):
    """Do it in another thread; what it raised."""
    raised = []

    def body():
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(JOIN)
    assert not thread.is_alive(), "it hangs"
    return raised[0] if raised else None


# ------------------------------------------------------------ signal handlers


def test_a_handler_may_close_while_its_thread_waits_for_the_shaker(path, handled):
    """It found the condition taken by the very thread it had interrupted, and the program hung."""
    db = lsm.open(path)
    handled(db.close)
    with pytest.raises(ClosedError):
        db._shaker.wait(lambda: signal.raise_signal(signal.SIGUSR1))
    assert db.closed


def test_a_handler_may_write_and_rotate_while_its_thread_waits_for_the_shaker(path, handled):
    rows = {b"%04d" % number: b"v" * 100 for number in range(1000)}
    with lsm.open(path, **TINY) as db:
        handled(lambda: db.update(rows))
        called = []

        def done():
            if not called:
                called.append(True)
                signal.raise_signal(signal.SIGUSR1)
            return True

        db._shaker.wait(done)
        assert dict(db.scan()) == rows


@pytest.mark.parametrize("asked, where, name", [
    ("verify", inspect, "_verify_manifest"), ("checkpoint", checkpoint, "_write"), ("stats", inspect, "_level")])
def test_a_handler_may_close_during_what_looks_at_the_whole_tree(path, handled, monkeypatch, tmp_path, asked, where, name):
    """verify, checkpoint and stats held the lock that closing waits for."""
    db = lsm.open(path)
    db[b"k"] = b"v"
    closed = threading.Event()
    handled(lambda: (db.close(), closed.set()))
    come_in(monkeypatch, where, name, lambda: signal.raise_signal(signal.SIGUSR1))
    try:
        getattr(db, asked)(*[tmp_path / "copy"] * (asked == "checkpoint"))
    except ClosedError:
        pass
    assert closed.wait(JOIN) and db.closed
    with lsm.open(path) as db:
        assert db[b"k"] == b"v"


def test_a_handler_that_closes_what_is_being_closed_does_not_close_it_a_second_time(path, handled, monkeypatch, caplog):
    """Two threads ended the same database, one after the other or at once."""
    db = lsm.open(path)
    db[b"k"] = b"v"
    closed = threading.Event()
    handled(lambda: (db.close(), closed.set()))

    def strike():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        assert closed.wait(JOIN)

    come_in(monkeypatch, lsm.DB, "_finish", strike)
    db.close()
    assert not caplog.records
    with lsm.open(path) as db:
        assert db[b"k"] == b"v"


def test_a_handler_that_forks_while_another_thread_works_for_its_own_leaves_no_child_waiting(path):
    """The child waited for a thread that only the parent has."""
    run("""
import signal, warnings; warnings.simplefilter("ignore", DeprecationWarning)
db = lsm.open(sys.argv[1])
main = os.getpid()
children = []
def fork(number, frame):
    children.append(os.fork())
signal.signal(signal.SIGUSR1, fork)
def work():
    os.kill(main, signal.SIGUSR1)
    while not children: pass
try:
    db._uninterrupted(work)
except lsm.ForkedError:
    os._exit(7)
assert os.getpid() == main
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
db.close()
""", path)


# ------------------------------------------------------------ finalizers


@pytest.mark.parametrize("place", ["_obsolete", "_write_manifest", "remove_file"])
def test_what_is_written_in_the_middle_of_an_installation_is_not_lost(path, monkeypatch, place):
    """A finalizer, run in the shaker while it installed a flush, filled the memtable: the tree was changed within a
    change of the tree, and the memtable sealed within was in no table and no log any more."""
    rows = {b"%04d" % number: b"v" * 100 for number in range(2000)}
    genuine, came = getattr(Tree, place), threading.Event()

    def hook(*arguments):
        if db._shaker.is_this_thread() and db._tree.is_changing_here() and not came.is_set():
            came.set()
            while True:
                try:
                    db.update(rows)
                    break
                except BusyError:       # the main thread has not yet let go of what it rotated
                    pass
        return genuine(*arguments)

    with lsm.open(path, **TINY) as db:
        db[b"k"] = b"v"
        monkeypatch.setattr(Tree, place, hook)
        db.flush()
        assert came.is_set() and dict(db.scan()) == {**rows, b"k": b"v"}
    with lsm.open(path) as db:
        assert dict(db.scan()) == {**rows, b"k": b"v"}


def test_who_is_in_a_change_of_the_tree_does_not_wait_for_a_writer_that_waits_for_it(path):
    """A finalizer that wrote in the shaker waited for the write lock, whose holder waited for the tree's."""
    with lsm.open(path, **TINY) as db:
        db[b"k"] = b"v"
        rotating = threading.Thread(target=db.flush, daemon=True)
        with db._tree.lock:
            rotating.start()
            while True:                 # it has the write lock soon, and waits for the tree's
                try:
                    db[b"l"] = b"w"
                except BusyError:
                    break
        rotating.join(JOIN)
        assert not rotating.is_alive()
        assert db[b"k"] == b"v"


def test_a_finalizer_in_the_thread_that_rotates_for_the_main_thread_is_refused(path, monkeypatch):
    """It waited for the write lock, which the main thread held, which waited for it."""
    met = []

    def write():
        with pytest.raises(BusyError) as caught:
            db[b"l"] = b"w"
        met.append(caught.value)

    with lsm.open(path) as db:
        db[b"k"] = b"v"
        come_in(monkeypatch, Tree, "switch", write)
        db.flush()
        assert len(met) == 1 and dict(db.scan()) == {b"k": b"v"}


@pytest.mark.parametrize("place", ["seal_last", "let_go"])
def test_a_finalizer_may_close_what_is_being_closed(path, monkeypatch, place):
    """It waited for the thread that waited for it."""
    db = lsm.open(path)
    db[b"k"] = b"v"
    come_in(monkeypatch, Tree, place, db.close)
    db.close()
    with lsm.open(path) as db:
        assert db[b"k"] == b"v"


def test_a_finalizer_in_the_shaker_may_close_what_is_being_closed(path, monkeypatch):
    """Closing waited for the shaker, and the shaker for closing: 30 seconds, and the lock was kept."""
    db = lsm.open(path)
    db[b"k"] = b"v"
    closing = threading.Event()

    def close():
        assert closing.wait(JOIN)
        db.close()

    come_in(monkeypatch, Shaker, "step", close)
    come_in(monkeypatch, Shaker, "stop", closing.set)
    db._seal()
    db.close()
    with lsm.open(path) as db:
        assert db[b"k"] == b"v"


def test_a_policy_that_flushes_is_told_that_it_cannot(path):
    """The shaker waited for itself."""
    told = threading.Event()

    class Policy:
        def choose(self, version, options):
            if not told.is_set():
                db[b"l"] = b"w"
                with pytest.raises(BusyError, match="itself"):
                    db.flush()
                told.set()
            return NOTHING

    with lsm.open(path) as db:
        db._shaker.policy = Policy()
        db[b"k"] = b"v"
        db.flush()
        assert told.wait(JOIN)
    with lsm.open(path) as db:
        assert dict(db.scan()) == {b"k": b"v", b"l": b"w"}


def test_a_database_is_opened_once(path, tmp_path):
    """A second __init__ put another directory under the threads that used the first."""
    with lsm.open(path) as db:
        db[b"k"] = b"v"
        with pytest.raises(TypeError, match="once"):
            db.__init__(tmp_path / "other")
        assert db[b"k"] == b"v"
