"""Lifetimes: use after close, close in any order, objects dropped or kept, forgotten at exit, pickled: errors, no crash."""

import copy
import gc
import itertools
import pickle
import warnings

import lsm
import pytest
from child import run


def uses_of_database(db):
    return {
        "put": lambda: db.put(b"a", b"1"), "get": lambda: db.get(b"a"), "getitem": lambda: db[b"a"],
        "setitem": lambda: db.__setitem__(b"a", b"1"), "delitem": lambda: db.__delitem__(b"a"),
        "delete": lambda: db.delete(b"a"), "contains": lambda: b"a" in db, "len": lambda: len(db),
        "bool": lambda: bool(db), "iter": lambda: list(iter(db)), "keys": lambda: list(db.keys()),
        "values": lambda: list(db.values()), "items": lambda: list(db.items()), "pop": lambda: db.pop(b"a", None),
        "popitem": lambda: db.popitem(), "setdefault": lambda: db.setdefault(b"a", b"1"),
        "update": lambda: db.update({b"a": b"1"}), "clear": lambda: db.clear(), "scan": lambda: db.scan(),
        "cursor": lambda: db.cursor(), "snapshot": lambda: db.snapshot(), "write_batch": lambda: db.write_batch().write(),
        "write_many": lambda: db.write_many([(b"a", b"1")]), "multi_get": lambda: db.multi_get([b"a"]),
        "flush": lambda: db.flush(), "compact": lambda: db.compact(), "sync": lambda: db.sync(),
        "stats": lambda: db.stats(), "verify": lambda: db.verify(), "enter": lambda: db.__enter__(),
        "checkpoint": lambda: db.checkpoint(str(db.path) + "-copy"),
    }


@pytest.mark.parametrize("name", [
    "put", "get", "getitem", "setitem", "delitem", "delete", "contains", "len", "bool", "iter", "keys", "values", "items",
    "pop", "popitem", "setdefault", "update", "clear", "scan", "cursor", "snapshot", "write_batch", "write_many",
    "multi_get", "flush", "compact", "sync", "stats", "verify", "enter", "checkpoint"])
def test_use_after_close_is_a_closed_error(db, name):
    use = uses_of_database(db)[name]
    db.close()
    with pytest.raises(lsm.ClosedError):
        use()
    assert isinstance(lsm.ClosedError(), ValueError)


def test_closing_twice_is_harmless_and_what_describes_the_database_stays(path):
    db = lsm.open(path)
    assert not db.closed and not db.read_only
    db.close()
    db.close()
    assert db.closed
    assert str(db.path) == str(path) and db.options == db.options and not db.read_only


def test_with_closes_also_when_the_block_raises(path):
    with pytest.raises(RuntimeError), lsm.open(path) as db:
        db[b"a"] = b"1"
        raise RuntimeError
    assert db.closed
    with lsm.open(path) as db:
        assert db[b"a"] == b"1"


def test_what_was_opened_from_a_database_refuses_after_its_close(path):
    db = lsm.open(path)
    db.update({b"a": b"1", b"b": b"2"})
    rows, backward, keys, pairs = db.scan(), db.scan(reverse=True), iter(db), iter(db.items())
    for iterator in (rows, backward, keys, pairs):
        next(iterator)
    cursor, snapshot, batch = db.cursor(), db.snapshot(), db.write_batch()
    snapshot_rows, snapshot_cursor = snapshot.scan(), snapshot.cursor()
    assert cursor.first() and snapshot_cursor.first()
    batch.put(b"c", b"3")
    db.close()
    for use in (lambda: next(rows), lambda: next(backward), lambda: next(keys), lambda: next(pairs), cursor.next,
                cursor.first, lambda: cursor.seek(b"a"), lambda: cursor.key, lambda: cursor.value, batch.write,
                lambda: snapshot.get(b"a"), lambda: snapshot[b"a"], snapshot.scan, snapshot.cursor,
                lambda: next(snapshot_rows), snapshot_cursor.next, lambda: len(snapshot), lambda: b"a" in snapshot):
        with pytest.raises(lsm.ClosedError):
            use()
    for thing in (cursor, snapshot, snapshot_cursor):
        thing.close()
        thing.close()
    with lsm.open(path) as again:
        assert dict(again.items()) == {b"a": b"1", b"b": b"2"}
        with pytest.raises(lsm.ClosedError):  # the new one does not revive what belonged to the old one
            snapshot.get(b"a")


def test_close_frees_the_lock_whatever_is_still_held(path):
    kept = []
    for turn in range(5):
        db = lsm.open(path)
        db[b"%d" % turn] = b"v"
        kept += [db, db.cursor(), db.snapshot(), db.scan(), db.write_batch(), db.snapshot().scan()]
        db.close()
    assert len(list(itertools.islice(lsm.open(path).scan(), 9))) == 5
    gc.collect()


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))), ids=lambda order: "".join(map(str, order)))
def test_everything_may_be_dropped_in_any_order(tmp_path_factory, order):
    directory = tmp_path_factory.getbasetemp() / "dropped"
    db = lsm.open(directory)
    db.update({b"a": b"1", b"b": b"2"})
    db.flush()
    snapshot = db.snapshot()
    cursor = snapshot.cursor()
    cursor.first()
    rows = db.scan(reverse=True)
    next(rows)
    held = [db, snapshot, cursor, rows, db.write_batch()]
    del snapshot, cursor, rows
    db.close() if order[0] % 2 else None
    del db
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for index in order:
            held[index] = None
            if index == order[2]:
                gc.collect()
        gc.collect()
    with lsm.open(directory) as again:  # dropping all of it gave the lock back
        assert again[b"a"] == b"1"


@pytest.mark.parametrize("made", ["None", "db.cursor()", "db.scan()", "db.snapshot()", "db.snapshot().scan()",
                                  "db.write_batch()", "db.snapshot(), db.cursor(), db.scan(), db.write_batch()"])
def test_a_database_in_a_reference_cycle_is_collected_with_what_was_made_from_it(path, made):
    """In a process of its own: the collector clears the objects of a cycle in any order, and once crashed doing so."""
    run(f"""
import gc, warnings
warnings.simplefilter("ignore")
for turn in range(30):
    db = lsm.open(sys.argv[1])
    db[b"%d" % turn] = b"1"
    db.flush()
    cycle = [db, {made}]
    cycle.append(cycle)
    if turn % 3 == 2: cycle.reverse()
    if turn % 5 == 4: db.close()
    del db, cycle
    gc.collect()
with lsm.open(sys.argv[1]) as db:
    assert len(db) == 30
""", path, flags=("-X", "faulthandler"))


def test_a_dropped_database_warns_frees_the_lock_and_loses_nothing(path):
    db = lsm.open(path)
    db.write_many((b"%d" % number, b"v") for number in range(100))
    with pytest.warns(ResourceWarning) as caught:
        del db
        gc.collect()
    assert str(path) in str(caught[0].message)
    with lsm.open(path) as db:
        assert len(db) == 100


def test_a_closed_database_and_a_failed_open_do_not_warn(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(lsm.Error):
            lsm.open(path, create=False)
        with pytest.raises(lsm.OptionError):
            lsm.open(path, block_bytes=-1)
        db = lsm.open(path)
        kept = db.snapshot()
        with pytest.raises(lsm.LockedError):
            lsm.open(path)
        db.close()
        del db, kept
        gc.collect()
    assert not [str(warning.message) for warning in caught if str(path) in str(warning.message)]


SCENES = {
    "held by a global": "db = lsm.open(sys.argv[1]); db[b'a'] = b'1'",
    "with a scan under way": "db = lsm.open(sys.argv[1]); db.update({b'a': b'1', b'b': b'2'}); s = db.scan(); next(s)",
    "from a daemon thread": """
        import threading, time
        db = lsm.open(sys.argv[1])
        def work():
            number = 0
            while True:
                db[b"a"] = b"%d" % number; list(db.scan()); number += 1
        for _ in range(3): threading.Thread(target=work, daemon=True).start()
        while b"a" not in db: time.sleep(0.001)
        time.sleep(0.05)""",
    "in a module that is torn down": "import builtins; builtins.kept = [lsm.open(sys.argv[1])]; kept.append(kept); "
                                     "kept[0][b'a'] = b'1'; kept.append(kept[0].cursor())",
    "while compacting": """
        db = lsm.open(sys.argv[1], memtable_bytes=16384, table_bytes=16384)
        db.write_many((b"%06d" % n, b"v" * 100) for n in range(5000)); db[b"a"] = b"1" """,
    "by an exception": "db = lsm.open(sys.argv[1]); db[b'a'] = b'1'\ntry: 1/0\nexcept ZeroDivisionError as e: kept = e",
    "by os._exit": "db = lsm.open(sys.argv[1]); db[b'a'] = b'1'; os._exit(0)",
}


@pytest.mark.parametrize("scene", SCENES)
def test_an_interpreter_that_ends_with_an_open_database_ends_cleanly(path, scene):
    done = run(SCENES[scene], path, flags=("-X", "faulthandler"))
    assert "Traceback" not in done.stderr and "Fatal" not in done.stderr, done.stderr
    with lsm.open(path) as db:
        assert b"a" in db and db.verify()


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy], ids=lambda way: way.__name__)
def test_nothing_that_holds_a_database_can_be_pickled_or_copied(db, way):
    db[b"a"] = b"1"
    for thing in (db, db.snapshot(), db.cursor(), db.scan(), db.write_batch()):
        with pytest.raises(TypeError):
            way(thing)


@pytest.mark.parametrize("error", [
    lambda: lsm.LockedError("/db", 7), lambda: lsm.CorruptionError("/db/000001.table", 12, "checksum"),
    lambda: lsm.StorageError(28, "No space left on device", "/db/000001.log"), lambda: lsm.ClosedError("closed")])
def test_errors_survive_pickling(error):
    made = error()
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is type(made) and str(again) == str(made) and vars(again) == vars(made)


def test_classes_of_the_core_made_by_hand_refuse_instead_of_crashing(db):
    for thing in (db, db.snapshot(), db.cursor(), db.scan(), db.write_batch()):
        kind = type(thing)
        try:
            raw = kind.__new__(kind)
        except TypeError:
            continue
        for name in ("close", "first", "get", "scan", "write", "__next__", "__len__", "stats", "flush", "__repr__"):
            method = getattr(raw, name, None)
            if method is not None:
                try:
                    method(*((b"a",) if name == "get" else ()))
                except (lsm.Error, TypeError, AttributeError, StopIteration):
                    pass


def test_a_snapshot_collected_after_its_database_says_nothing(path):
    """In a cycle of both the collector may empty the database first: TypeError in the snapshot's deallocation."""
    done = run("""
import gc
gc.disable()
for turn in range(5):
    db = lsm.open(sys.argv[1])
    db.ring = [db, db.snapshot(), db.snapshot()]
    db.close()
    del db
    gc.collect()
""", path)
    assert not done.stderr
