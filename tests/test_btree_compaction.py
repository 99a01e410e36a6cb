"""The B-tree engine's compaction and checkpoint: what readers, handlers, failures and kills meet in their middle."""
import errno
import os
import shutil
import signal
import threading
import weakref

import lsm
import pytest
from child import Child

pytest.importorskip("lmdb")

from lsm.engines.btree import copying, environment, gate, layout      # noqa: E402

ROWS = {b"%03d" % number: b"v" * 100 for number in range(100)}


def opened(path, **how):
    return lsm.open(path, engine="btree", **how)


@pytest.fixture
def db(path):
    with opened(path, lazy_sync=True) as db:
        db.write_many(ROWS)
        yield db


READS = """
with lsm.open(sys.argv[1], engine="btree", read_only=True) as db:
    print("open", len(db))
    sys.stdin.readline()
    print(len(list(db.scan())))
    sys.stdin.readline()
"""


@pytest.mark.parametrize("writes", [10, 11])
def test_compaction_beside_a_reader_of_another_process_loses_no_row(path, writes):
    """The new file got the name of the old one beside the same lock.mdb: by the transaction it told of, LMDB took the
    other, empty head of the two for the one that counts."""
    with opened(path) as db:
        for number in range(writes):
            db[b"%03d" % number] = b"v"
        with Child(READS, path) as reader:
            assert reader.hear() == f"open {writes}"
            db.compact()
            assert len(db) == len(list(db)) == writes
            db[b"new"] = b"v"
            reader.tell()
            assert reader.hear() == str(writes)
            db.compact()
            assert len(list(db)) == writes + 1
    with opened(path) as db:
        assert len(list(db)) == writes + 1 and db.verify()


def test_each_compaction_leaves_one_tree(path, db):
    for number in (2, 3):
        db.compact()
        assert sorted(os.listdir(path)) == ["BTREE", "LOCK", layout.tree_name(number)]
        assert dict(db.scan()) == ROWS


def test_who_opens_while_the_tree_is_switched_looks_again(path, db, monkeypatch):
    """The marker was read before the switch, the tree looked for behind it."""
    db.compact()
    db.close()
    genuine, early = layout.load, [1, 1]
    monkeypatch.setattr(layout, "load", lambda directory: early.pop() if early else genuine(directory))
    with opened(path, read_only=True) as reader:
        assert dict(reader.scan()) == ROWS and not early


def test_a_handler_in_the_middle_of_a_compaction_is_refused_and_what_it_would_write_not_lost(path, db, monkeypatch):
    """What a handler wrote while its own thread compacted was acknowledged, and stayed in the old file."""
    genuine, refused = copying._copy_to, []

    def copy_to(*given):
        genuine(*given)
        for use in (lambda: db.put(b"a", b"1", sync=True), lambda: db.write({b"a": b"1"}.items()), db.scan, db.snapshot, db.cursor,
                    db.compact, db.sync, db.stats, lambda: db.checkpoint(path.parent / "copy"), lambda: db.get(b"001"), db.close):
            with pytest.raises(lsm.BusyError, match="in the middle of"):
                use()
            refused.append(use)

    monkeypatch.setattr(copying, "_copy_to", copy_to)
    db.compact()
    assert len(refused) == 11 and dict(db.scan()) == ROWS
    db[b"a"] = b"1"
    assert len(db) == len(ROWS) + 1


def test_a_handler_that_comes_while_the_tree_is_switched_is_refused(db, monkeypatch):
    genuine, heard, done = layout.switch, [], threading.Event()

    def handler(*signal):
        for use in (lambda: db.put(b"a", b"1"), db.scan, db.close):
            try:
                use()
            except lsm.BusyError as error:
                heard.append(error)
        done.set()

    def switch(directory):
        assert threading.current_thread() is not threading.main_thread()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert done.wait(60)
        genuine(directory)

    monkeypatch.setattr(layout, "switch", switch)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        db.compact()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(heard) == 3 and db._number == 2 and dict(db.scan()) == ROWS


class Failing:
    """A directory one of whose steps fails, when it comes to it the nth time."""

    def __init__(self, directory, step, turn, error):
        self._directory, self._step, self._turn, self._error = directory, step, turn, error

    def __getattr__(self, name):
        genuine = getattr(self._directory, name)
        if name != self._step:
            return genuine

        def step(*given):
            self._turn -= 1
            if self._turn == 0:
                raise self._error
            return genuine(*given)
        return step


@pytest.mark.parametrize(("step", "turn"), [("sync", 1), ("rename", 1), ("sync", 2)])
def test_a_failed_step_of_the_directory_in_a_compaction_is_believed(path, db, step, turn):
    """Writes went on into the new tree, whose name might not have come to the disk."""
    failed = lsm.StorageError(errno.EIO, "the disk does not answer", str(path))
    db._directory = Failing(db._directory, step, turn, failed)
    with pytest.raises(lsm.StorageError):
        db.compact()
    for use in (lambda: db.put(b"a", b"1", sync=True), db.compact, db.sync, db.write_batch):
        with pytest.raises(lsm.ReadOnlyError, match="does not answer") as raised:
            use()
        assert raised.value.__cause__ is failed
    assert dict(db.scan()) == ROWS
    if (step, turn) == ("sync", 2):
        assert {"tree-000001", "tree-000002"} <= set(os.listdir(path))      # either may be the one after a loss of power
    db.close()
    with opened(path) as db:
        db[b"a"] = b"1"
        assert dict(db.scan()) == {**ROWS, b"a": b"1"}
        assert len(layout.numbers(os.listdir(path))) == 1


@pytest.mark.parametrize("step", ["create", "rename"])
def test_no_room_for_the_marker_in_a_compaction_leaves_the_old_tree(path, db, step):
    db._directory = Failing(db._directory, step, 1, lsm.StorageError(errno.ENOSPC, "no room", str(path)))
    with pytest.raises(lsm.StorageError, match="no room"):
        db.compact()
    assert layout.numbers(os.listdir(path)) == [1]
    db[b"a"] = b"1"
    db.compact()
    assert sorted(os.listdir(path)) == ["BTREE", "LOCK", "tree-000002"] and dict(db.scan()) == {**ROWS, b"a": b"1"}


def test_a_failed_sync_of_a_lazy_database_is_believed(path, db):
    class Unsynced:
        def __getattr__(self, name):
            return getattr(genuine, name)

        def sync(self, force):
            raise environment.lmdb.Error("the disk does not answer")

    genuine, db._environment.lmdb = db._environment.lmdb, Unsynced()
    with pytest.raises(lsm.StorageError, match="does not answer"):
        db.put(b"a", b"1", sync=True)
    db._environment.lmdb = genuine
    with pytest.raises(lsm.ReadOnlyError, match="does not answer"):
        db.sync()


def fails(*given):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_compaction_without_room_leaves_nothing_behind(path, db, monkeypatch):
    """Half a copy stayed, on a disk that had no room."""
    before = sorted(os.listdir(path))
    monkeypatch.setattr("lsm.engines.btree.copying.os.fsync", fails)
    with pytest.raises(lsm.StorageError) as raised:
        db.compact()
    assert raised.value.errno == errno.ENOSPC and sorted(os.listdir(path)) == before
    monkeypatch.undo()
    db[b"a"] = b"1"
    db.compact()
    assert dict(db.scan()) == {**ROWS, b"a": b"1"}


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("step", ["copying.os.fsync", "layout.switch"])
def test_a_checkpoint_that_fails_leaves_nothing_behind(tmp_path, db, monkeypatch, there, step):
    copy = tmp_path / "copy"
    if there:
        copy.mkdir()
    monkeypatch.setattr(f"lsm.engines.btree.{step}", fails)
    with pytest.raises(OSError, match="[Nn]o space"):
        db.checkpoint(copy)
    assert os.listdir(copy) == [] if there else not copy.exists()
    monkeypatch.undo()
    db.checkpoint(copy)
    with opened(copy) as other:
        assert dict(other.scan()) == ROWS


def test_what_a_killed_compaction_left_goes_when_the_database_is_opened_to_write(path, db):
    db.compact()
    db.close()
    for number in (1, 3):                               # killed before the old one was removed; before the marker was switched
        shutil.copytree(path / "tree-000002", path / layout.tree_name(number))
    (path / "BTREE.tmp").write_bytes(layout.encode(3)[:10])
    with opened(path, read_only=True) as db:
        assert dict(db.scan()) == ROWS and layout.numbers(os.listdir(path)) != [2]
    with opened(path) as db:
        assert dict(db.scan()) == ROWS and sorted(os.listdir(path)) == ["BTREE", "LOCK", "tree-000002"]


@pytest.mark.parametrize("when", ["writing", "opening", "compacting"])
def test_a_reader_that_was_killed_does_not_keep_its_pages(path, db, when):
    """The file grew with every write for as long as the writer had it open."""
    with Child(READS, path) as reader:
        assert reader.hear().startswith("open")
        if when == "opening":
            db.close()
        else:
            assert reader.pid in readers(db)
        reader.kill()
        if when == "writing":
            for _ in range(environment.WRITES_BETWEEN_LOOKS):
                db[b"a"] = b"1"
        elif when == "compacting":
            looked = db._environment.lmdb = Looked(db._environment.lmdb)
            db.compact()
            assert looked.looks == 1 and db._environment.lmdb is not looked
        else:
            db = opened(path, lazy_sync=True)
        assert reader.pid not in readers(db)
        if when == "opening":
            db.close()


def readers(db):
    """The processes that LMDB knows to be reading."""
    rows = [line.split() for line in db._environment.lmdb.readers().splitlines()]
    return {int(row[0]) for row in rows if len(row) == 3 and row[0].isdigit()}


class Looked:
    """An environment that counts how often its readers are looked at."""

    def __init__(self, genuine):
        self._genuine, self.looks = genuine, 0

    def __getattr__(self, name):
        self.looks += name == "reader_check"
        return getattr(self._genuine, name)


def test_a_moment_that_is_gone_keeps_nothing_from_changing(db):
    """A handler that raised as one went left its reference behind, which `len` of the set counts for ever."""
    class Moment:
        pass

    gone = Moment()
    db._environment.moments.data.add(weakref.ref(gone))
    del gone
    before = db._number
    db.compact()
    assert db._number != before


def test_who_reads_already_is_not_made_to_wait_for_who_waits_for_him():
    """A handler in the middle of a scan's step was given another lock, which the change that waited held."""
    barrier = gate.Gate()
    with barrier.next_lock():
        changer = threading.Thread(target=barrier.alone, args=(lambda: None,), daemon=True)
        changer.start()
        while not barrier._wanted:
            pass
        with barrier.lock():
            pass
    changer.join(60)
    assert not changer.is_alive()


def test_a_finalizer_in_the_thread_that_switches_trees_is_refused(db, monkeypatch):
    """It waited for the thread that waited for it."""
    refused, genuine = [], layout.prepare

    def prepare(directory, number):
        with pytest.raises(lsm.BusyError):
            db.put(b"from a finalizer", b"")
        refused.append(threading.current_thread())
        return genuine(directory, number)

    monkeypatch.setattr(layout, "prepare", prepare)
    db.compact()
    assert refused and threading.main_thread() not in refused
    db.put(b"afterwards", b"")
