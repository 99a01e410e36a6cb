"""What every engine keeps beyond single operations: its life from open to close, its lock, its moments, its directory; and
how engines are found. The suites of test_contract, test_scan and the like run on each as well; so do kill and model.
"""
import gc
import os
import threading

import lsm
import pytest
from child import run
from engines import DURABLE, ENGINES, OPTIONS
from lsm import registry
from lsm.contract.simple import SimpleEngine
from lsm.contract.traits import Traits

EVERY_ENGINE = True
durable = pytest.mark.parametrize("engine", DURABLE)


def opened(path, engine, **how):
    return lsm.open(path, engine=engine, **OPTIONS.get(engine, {}), **how)


# ------------------------------------------------------------ found by name


def test_the_five_engines_have_names():
    assert set(lsm.engine_names()) >= {"lsm", "btree", "memory"}


def test_an_unknown_engine_names_the_nearest_or_all():
    with pytest.raises(lsm.OptionError, match="'btree'"):
        lsm.open("nowhere", engine="b-tree")
    with pytest.raises(lsm.OptionError, match="one of 'lsm'"):
        lsm.open("nowhere", engine="zzz")
    with pytest.raises(TypeError, match="name of an engine"):
        lsm.open("nowhere", engine=3)
    assert not os.path.exists("nowhere")


def test_an_engine_of_somebody_else_is_found_by_its_entry_point(tmp_path):
    assert "sqlite" in lsm.engine_names() and "sqlite" not in registry.ENGINES
    with lsm.open(tmp_path / "db", engine="sqlite") as db:
        assert isinstance(db, lsm.Engine) and db.traits.engine == "sqlite"


def test_it_is_an_engine_and_tells_what_it_can(db, engine):
    assert isinstance(db, lsm.Engine) and isinstance(db.traits, Traits)
    assert db.traits.engine == engine
    for text in (*db.traits.weak.values(), *db.traits.refused.values()):
        assert text and not text.endswith(".")
    assert repr(db).startswith("<lsm.") and str(db.path) in repr(db)


def test_what_an_engine_refuses_names_engines_that_have_it(db):
    for operation in db.traits.refused:
        if not hasattr(db, operation):
            continue
        with pytest.raises(lsm.NotOfferedError, match=operation) as raised:
            getattr(db, operation)("elsewhere")
        assert set(raised.value.engines) <= set(lsm.engine_names()) and raised.value.engine not in raised.value.engines


def test_an_option_of_another_engine_is_refused_by_name(tmp_path, engine):
    with pytest.raises(TypeError, match="page_bites"):
        lsm.open(tmp_path / "db", engine=engine, page_bites=3)


# ------------------------------------------------------------ one step


def test_write_is_one_step_of_puts_and_deletes(db):
    db[b"tanzania:capital"] = b"Dar es Salaam"
    assert db.write([(b"kenya:capital", b"NBO"), (b"tanzania:capital", None), (b"kenya:capital", b"Nairobi")]) == 3
    assert dict(db.items()) == {b"kenya:capital": b"Nairobi"}
    with pytest.raises(TypeError):
        db.write([(b"rwanda:capital", b"Kigali"), ("uganda:capital", b"Kampala")])
    assert b"rwanda:capital" not in db
    assert db.write([], sync=True) == 0


def test_a_scan_shows_its_moment_whatever_is_written_meanwhile(db):
    db.write_many({b"%04d" % n: b"old" for n in range(0, 2000, 2)})
    rows, back = db.scan(), db.scan(reverse=True)
    first, last = next(rows), next(back)
    db.write_many({b"%04d" % n: b"new" for n in range(2000)})
    for n in range(0, 2000, 3):
        db.delete(b"%04d" % n)
    expected = [(b"%04d" % n, b"old") for n in range(0, 2000, 2)]
    assert [first, *rows] == expected and [last, *back] == expected[::-1]
    assert len(db) == 2000 - 667


def test_a_snapshot_outlives_much_writing_and_older_and_newer_ones(db, rng):
    model, held = {}, []
    for step in range(300):
        for _ in range(rng.randrange(8)):
            key = b"%02d" % rng.randrange(60)
            if rng.random() < 0.4:
                db.delete(key)
                model.pop(key, None)
            else:
                db[key] = model[key] = b"%d" % step
        held.append((db.snapshot(), dict(model)))
        if len(held) > 5:
            snapshot, then = held.pop(rng.randrange(len(held)))
            assert dict(snapshot.scan()) == then
            assert dict(snapshot.scan(reverse=True)) == then
            assert snapshot.multi_get([b"%02d" % n for n in range(60)]) == [then.get(b"%02d" % n) for n in range(60)]
            snapshot.close()
    for snapshot, then in held:
        assert dict(snapshot.scan()) == then and len(snapshot) == len(then)


def test_a_scan_of_a_snapshot_goes_on_when_that_is_closed(db):
    db.write_many({b"%03d" % n: b"" for n in range(300)})
    snapshot = db.snapshot()
    rows = snapshot.scan(values=False)
    next(rows)
    snapshot.close()
    for key in list(db):
        del db[key]
    assert list(rows) == [b"%03d" % n for n in range(1, 300)]


# ------------------------------------------------------------ from open to close


@durable
def test_what_was_written_is_there_again(path, engine):
    with opened(path, engine) as db:
        db.write_many({b"%03d" % n: b"x" * n for n in range(300)})
        del db[b"007"]
        expected = dict(db.scan())
        assert not db.closed
    assert db.closed
    with opened(path, engine, create=False) as db:
        assert dict(db.scan()) == expected and db.verify()


def test_memory_keeps_nothing(path):
    with lsm.open(path, engine="memory") as db:
        db[b"a"] = b"1"
    assert not path.exists()
    with lsm.open(path, engine="memory") as db:
        assert not db
    for how in ({"create": False}, {"read_only": True}):
        with pytest.raises(lsm.NotADatabaseError, match="gone when it is closed"):
            lsm.open(path, engine="memory", **how)


def test_everything_raises_after_close(db):
    db[b"a"] = b"1"
    snapshot, rows, cursor, batch = db.snapshot(), db.scan(), db.cursor(), db.write_batch()
    db.close()
    db.close()
    assert db.closed and snapshot.closed
    uses = [lambda: db.get(b"a"), lambda: db.put(b"a", b"1"), lambda: db.delete(b"a"), lambda: b"a" in db, lambda: len(db),
            lambda: db.scan(), lambda: db.cursor(), lambda: db.snapshot(), lambda: db.write_batch(), lambda: db.write([]),
            lambda: db.write_many({b"a": b"1"}), lambda: db.write_many([]), lambda: db.multi_get([b"a"]), lambda: db.multi_get([]),
            lambda: snapshot.multi_get([]), lambda: db.flush(), lambda: db.sync(),
            lambda: db.compact(), lambda: db.stats(), lambda: db.verify(), lambda: db.checkpoint("elsewhere"),
            lambda: next(iter(db)), lambda: db.__enter__(), lambda: snapshot.get(b"a"), lambda: snapshot.scan(),
            lambda: snapshot.cursor(), lambda: next(rows), lambda: cursor.first(), lambda: cursor.key,
            lambda: batch.put(b"a", b"1"), lambda: batch.write()]
    for number, use in enumerate(uses):
        with pytest.raises(lsm.ClosedError):
            use()
            pytest.fail(f"use {number} went through")
    assert not os.path.exists("elsewhere")
    for held in (snapshot, rows, cursor):
        held.close()


@durable
def test_one_opens_it_at_a_time(path, engine):
    with opened(path, engine) as db:
        rows = iter(db)                                     # what is still held does not keep the lock
        db[b"a"] = b"1"
        with pytest.raises(lsm.LockedError):
            opened(path, engine)
        closing = threading.Timer(0.1, db.close)
        closing.start()
        with opened(path, engine, lock_timeout=30) as again:
            assert again[b"a"] == b"1"
    del rows


@durable
def test_read_only_sees_what_was_there_and_writes_nothing(path, engine):
    with pytest.raises(lsm.NotADatabaseError):
        opened(path, engine, read_only=True)
    with pytest.raises(lsm.NotADatabaseError):
        opened(path, engine, create=False)
    assert not path.exists()
    with opened(path, engine) as db:
        db.write_many({b"a": b"1", b"b": b"2"})
    with opened(path, engine, read_only=True) as reader:
        assert dict(reader.scan()) == {b"a": b"1", b"b": b"2"} and reader[b"a"] == b"1"
        for use in (lambda: reader.put(b"c", b""), lambda: reader.delete(b"a"), lambda: reader.write_many({b"c": b""}),
                    lambda: reader.write([(b"c", b"")]), lambda: reader.write_many([]), lambda: reader.write([]),
                    lambda: reader.compact(), lambda: reader.flush()):
            with pytest.raises(lsm.ReadOnlyError):
                use()


@durable
def test_read_only_shows_what_was_there_when_it_was_opened_while_another_process_writes(path, engine):
    with opened(path, engine) as db:
        db.write_many({b"%03d" % n: b"old" for n in range(200)})
    expected = {b"%03d" % n: b"old" for n in range(200)}
    with opened(path, engine, read_only=True) as reader:
        run("""
import engines, lsm
with lsm.open(sys.argv[1], engine=sys.argv[2], **engines.OPTIONS.get(sys.argv[2], {})) as db:
    db.write_many({b"%03d" % n: b"new" for n in range(0, 300, 2)})
    del db[b"001"]
    db.flush()
""", path, engine)
        assert dict(reader.scan()) == expected and dict(reader.snapshot().scan(reverse=True)) == expected
        assert reader[b"000"] == reader[b"001"] == b"old" and reader.get(b"200") is None and len(reader) == 200
    with opened(path, engine, read_only=True) as reader:
        assert reader[b"000"] == b"new" and len(reader) == 249


@pytest.mark.parametrize("wrong", ["x", None, True, -1, float("inf"), float("nan")], ids=str)
def test_a_lock_timeout_that_is_no_number_of_seconds_is_refused_before_anything_is_made(path, engine, wrong):
    with pytest.raises((TypeError, ValueError), match="lock_timeout is a number of seconds"):
        opened(path, engine, lock_timeout=wrong)
    assert not path.exists()


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_a_database_that_is_opened_again_by_its_own_init_goes_on_as_it_was(path, engine):
    """A hashlog then had no merger any more: it could be written, and never closed in good order."""
    with opened(path, engine) as db:
        db[b"a"] = b"1"
        with pytest.raises(TypeError, match="opened once"):
            db.__init__(path)
        db.flush()
        db.compact()
        assert db.stats() and dict(db.scan()) == {b"a": b"1"}


@durable
@pytest.mark.parametrize("other", DURABLE)
def test_the_directory_of_another_engine_is_refused_and_untouched(path, engine, other):
    if engine == other or {engine, other} <= {"lsm", "pylsm"} or "sqlite" in (engine, other):
        pytest.skip("the same files, or an engine this package knows nothing of")
    with opened(path, engine) as db:
        db[b"a"] = b"1"
    before = sorted(os.listdir(path))
    told = "lsm" if engine == "pylsm" else engine               # they are of the same files
    assert lsm.engine_at(path) == told
    with pytest.raises(lsm.NotADatabaseError, match=f"engine='{told}'"):
        opened(path, other)
    assert sorted(os.listdir(path)) == before
    with opened(path, engine) as db:
        assert db[b"a"] == b"1"


@durable
def test_a_file_and_a_directory_of_other_things_are_refused(tmp_path, engine):
    (tmp_path / "file").write_text("x")
    with pytest.raises((lsm.NotADatabaseError, OSError)):
        opened(tmp_path / "file", engine)
    with pytest.raises(lsm.NotADatabaseError):
        opened(tmp_path, engine)
    assert os.listdir(tmp_path) == ["file"]


@durable
def test_a_checkpoint_is_a_database(path, tmp_path, engine):
    with opened(path, engine) as db:
        db.write_many({b"%03d" % n: b"x" for n in range(100)})
        db.checkpoint(tmp_path / "copy")
        db[b"later"] = b""
        with pytest.raises(lsm.NotADatabaseError):
            db.checkpoint(tmp_path / "copy")
    with opened(tmp_path / "copy", engine) as copy:
        assert list(copy) == [b"%03d" % n for n in range(100)]


def test_a_child_of_a_fork_gets_an_error_and_the_parent_goes_on(db):
    db[b"a"] = b"1"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            db.get(b"a")
        except lsm.ForkedError:
            try:
                db[b"a"] = b"2"
            except lsm.ForkedError:
                db.close()
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    db[b"b"] = b"2"
    assert dict(db.items()) == {b"a": b"1", b"b": b"2"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_is_dropped_warns_and_lets_go(path, engine):
    with pytest.warns(ResourceWarning, match="never closed"):
        lsm.open(path, engine=engine)[b"a"] = b"1"
    if engine != "memory":
        with lsm.open(path, engine=engine) as db:
            assert db[b"a"] == b"1"


def test_readers_and_writers_in_threads(db):
    """Writers add to counters in batches: every reader sees all of a batch or nothing of it."""
    stop = threading.Event()
    wrong = []

    def write(number):
        for turn in range(150):
            with db.write_batch() as batch:
                for part in range(3):
                    batch[b"%d:%d" % (number, part)] = b"%d" % turn

    def read():
        while not stop.is_set():
            rows = dict(db.scan())
            for number in range(3):
                seen = {rows.get(b"%d:%d" % (number, part)) for part in range(3)}
                if len(seen) != 1:
                    wrong.append(seen)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert dict(db.scan()) == {b"%d:%d" % (number, part): b"149" for number in range(3) for part in range(3)}


# ------------------------------------------------------------ whatever this package's tools are told


def test_nothing_of_it_can_be_pickled(db):
    import pickle

    for thing in (db, db.snapshot(), db.scan(), db.cursor(), db.write_batch()):
        with pytest.raises(TypeError, match="pickled|pickle"):
            pickle.dumps(thing)


def test_engine_at_knows_directories(tmp_path):
    assert lsm.engine_at(tmp_path) is None and lsm.engine_at(tmp_path / "none") is None
    assert {"lsm", "memory"} <= set(ENGINES)


@pytest.mark.parametrize("step", range(0, 6))
def test_a_batch_in_memory_is_whole_when_it_is_interrupted(path, step):
    """What a signal's handler raises comes out of any step: here, of one in the middle of a change of the SortedDict."""
    from sortedcontainers import SortedDict

    class Interrupted(SortedDict):
        steps = 0

        def __setitem__(self, key, value):
            if Interrupted.steps == step:
                dict.__setitem__(self, key, value)      # and not in its list
                raise KeyboardInterrupt
            Interrupted.steps += 1
            super().__setitem__(key, value)

    with lsm.open(path, engine="memory") as db:
        db.write_many({b"a": b"old", b"z": b"old"})
        db._rows = Interrupted(db._rows)
        Interrupted.steps = 0
        with db.snapshot() as then:
            with pytest.raises(KeyboardInterrupt):
                db.write([(b"%d" % n, b"new") for n in range(8)] + [(b"a", None)])
            assert list(then.scan()) == [(b"a", b"old"), (b"z", b"old")]
        assert list(db.scan()) == [(b"%d" % n, b"new") for n in range(8)] + [(b"z", b"old")]
        assert len(db) == 9 and db.stats().bytes == 8 * 4 + 4


def test_who_uses_it_in_the_middle_of_its_own_write_is_told(db, engine):
    """A signal's handler is let in by the lock of its own thread, and would see a part of the batch, or close it in there."""
    if not isinstance(db, SimpleEngine):
        pytest.skip("its writes are one step of C, or refuse by themselves")
    db.write_many({b"%d" % n: b"" for n in range(3)})
    apply, rows, cursor, then, batch = db._apply, db.scan(), db.cursor(), db.snapshot(), db.write_batch()
    first = next(rows)
    uses = [lambda: db.put(b"inner", b""), lambda: db.write([]), lambda: batch.write(), lambda: db.get(b"0"), lambda: b"0" in db,
            lambda: db.multi_get([]), lambda: len(db), lambda: db.scan(), lambda: db.cursor(), lambda: db.snapshot(),
            lambda: next(rows), lambda: cursor.first(), lambda: then.get(b"0"), lambda: db.stats(), lambda: db.verify(),
            lambda: db.flush(), lambda: db.compact(), lambda: db.close()]

    def interrupted(operations, sync):
        for number, use in enumerate(uses):
            with pytest.raises(lsm.BusyError, match="in the middle of a write"):
                use()
                pytest.fail(f"use {number} went through")
        return apply(operations, sync)

    db._apply = interrupted
    db.put(b"outer", b"")
    del db._apply
    assert list(db) == [b"0", b"1", b"2", b"outer"] and [first, *rows] == list(then.scan()) and cursor.first()


# ------------------------------------------------------------ what memory alone has


def test_a_scan_of_memory_misses_no_row_when_another_thread_closes_the_database():
    """The moment forgot what it kept, the rows were gone, and the scan went on with the rest of them."""
    with lsm.open("nowhere", engine="memory") as db:
        db.write_many({b"%02d" % n: b"old" for n in range(100)})
        rows, then = db.scan(), db.snapshot()
        given = [next(rows) for _ in range(8)]
        db[b"50"] = b"new"
        genuine = db._check

        def closed_behind():                        # as another thread does, just after the look whether it is closed
            genuine()
            db.close()

        rows._check = then._check_database = closed_behind
        for use in (lambda: given.append(next(rows)), lambda: then[b"50"], lambda: then.get(b"51")):
            with pytest.raises(lsm.ClosedError):
                use()
        assert given == [(b"%02d" % n, b"old") for n in range(8)]


def test_a_handler_in_the_middle_of_a_scan_of_memory_is_told(monkeypatch):
    """What it deleted would move the rows that are being walked over."""
    from lsm.engines import memory

    genuine, told = memory.MemoryMoment._stretch, []

    def interrupted(self, *given):
        with pytest.raises(lsm.BusyError) as raised:
            db.delete(b"00")
        told.append(raised)
        return genuine(self, *given)

    with lsm.open("nowhere", engine="memory") as db:
        db.write_many({b"%02d" % n: b"" for n in range(20)})
        monkeypatch.setattr(memory.MemoryMoment, "_stretch", interrupted)
        assert len(list(db.scan())) == 20 and told
        monkeypatch.undo()
        del db[b"00"]
        assert len(db) == 19


def test_a_write_to_memory_asks_no_moment_whether_it_is_open_unless_one_was_closed(monkeypatch):
    """It asked each of them: with a thousand snapshots open a put cost half a millisecond."""
    from lsm.engines.history import Past

    asked, genuine = [], Past.open.fget
    with lsm.open("nowhere", engine="memory") as db:
        db.write_many({b"%02d" % n: b"old" for n in range(50)})
        held = [db.snapshot() for _ in range(30)]
        db[b"00"] = b"new"
        monkeypatch.setattr(Past, "open", property(lambda past: asked.append(past) or genuine(past)))
        for n in range(50):
            db[b"%02d" % n] = b"new"
        assert not asked
        held.pop(7).close()
        db[b"00"] = b"newer"
        assert len(asked) == 30
        del held[3]                                 # nobody closes it: it is let go of
        gc.collect()
        db[b"00"] = b"newest"
        assert len(db._history.moments) == 28
        for then in held:
            assert set(dict(then.scan()).values()) == {b"old"} and then[b"00"] == b"old"


# ------------------------------------------------------------ an engine that cannot be imported


@pytest.mark.parametrize("missing, told", [
    (ImportError("cannot import name '_core' from 'lsm'", name="lsm"), "needs the compiled core"),
    (ImportError("libc: no such symbol", name="lsm._core"), "needs the compiled core"),
    (ModuleNotFoundError("No module named 'sortedcontainers'", name="sortedcontainers"), "needs the module 'sortedcontainers'"),
], ids=["no core", "a core that does not load", "another module"])
def test_what_keeps_an_engine_from_being_imported_is_told(monkeypatch, missing, told):
    """Every ImportError was told as a compiled core that had not been built."""
    def import_module(name):
        raise missing

    monkeypatch.setattr(registry, "import_module", import_module)
    with pytest.raises(lsm.UnsupportedError, match=told) as raised:
        lsm.open("nowhere", engine="memory")
    assert raised.value.__cause__ is missing


def test_a_mistake_in_an_engine_of_this_package_is_not_told_as_something_missing(monkeypatch):
    def import_module(name):
        raise ImportError("cannot import name 'Spam' from 'lsm.contract.span'", name="lsm.contract.span")

    monkeypatch.setattr(registry, "import_module", import_module)
    with pytest.raises(ImportError, match="Spam"):
        lsm.open("nowhere", engine="memory")
