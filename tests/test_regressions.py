"""Every bug found in the engine, as small as it gets, by the name of what went wrong."""
import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import hashlog_engine
import lsm
from crash import states
from crash_engine import abandon, open_files, open_on
from fault_engine import FaultyRun
from log_reference import entry, log, record, replayed
from plain_directory import PlainDirectory
from lsm import _core, _pycore
from lsm.contract.uninterrupted import uninterrupted
from lsm.errors import BusyError, CorruptionError, ReadOnlyError, StorageError
from lsm.tree.compact import carry_out
from lsm.tree.compaction import merge_everything
from lsm.tree.flush import flush_oldest
from lsm.tree.shaker import Shaker


@pytest.mark.parametrize("after", range(6))
def test_a_failed_switch_of_manifests_does_not_take_the_new_tables_along(after):
    """CURRENT was renamed, the sync of that failed, and the tables the new manifest names were removed as unused."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    db.put(b"k", b"v", sync=True)
    directory.fail(errno.EIO, kind="sync_directory", after=after)
    with pytest.raises(StorageError):
        db.flush()
    assert db._failure is not None
    assert dict(open_files(directory.crashed_process()).items()) == {b"k": b"v"}
    assert dict(db.items()) == {b"k": b"v"}
    db.close()


@pytest.mark.parametrize("kind, part", [("sync", "MANIFEST"), ("sync_directory", ""), ("sync", ".log")])
def test_a_failed_sync_in_rotation_turns_the_store_read_only(kind, part):
    """The error was raised once, and the next write went on as if nothing had been."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    db.put(b"k", b"v")
    directory.fail(errno.EIO, kind=kind, part=part)
    with pytest.raises(StorageError) as caught:
        db.flush()
    with pytest.raises(ReadOnlyError) as refused:
        db.put(b"k", b"w")
    assert refused.value.__cause__ is caught.value
    assert db[b"k"] == b"v"
    db.close()


@pytest.mark.parametrize("kept", ["", "class Ring: pass\nring = Ring(); ring.ring = ring; ring.db = db"], ids=["global", "in a ring"])
def test_a_program_that_never_closes_its_database_ends(path, kept):
    """At exit the flush was given to a thread that could no longer run, and the program hung for ever."""
    program = f"import lsm, sys\ndb = lsm.open(sys.argv[1])\ndb[b'k'] = b'v'\n{kept}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=100, env=environment,
                   stderr=subprocess.DEVNULL)
    with lsm.open(path) as db:
        assert dict(db.items()) == {b"k": b"v"}


def test_a_recovery_without_room_promises_nothing():
    """What it could not flush counted as synced: after a power loss the database refused to open."""
    directory = _core.SimulatedDirectory()
    first = open_on(directory)
    first.put(b"k", b"never synced")
    abandon(first)
    directory.close()
    directory = directory.reopen()
    directory.fail(errno.ENOSPC, kind="create", part=".table", sticky=True)
    second = open_on(directory)
    second.put(b"l", b"neither")
    with pytest.raises(StorageError):
        second.sync()
    for state in states(directory.journal(), "weak"):
        assert len(open_files(state.files)) <= 2
    directory.heal()
    second.sync()
    for state in states(directory.journal(), "weak", start=len(directory.journal())):
        assert len(open_files(state.files)) == 2
    second.close()


def test_who_waits_for_a_flush_that_fails_is_told_why():
    """With the shaker ended by the failure, flush() said that the database was closed."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory, background=True)
    db.put(b"k", b"v")
    directory.fail(errno.EIO, kind="sync", part=".table", sticky=True)
    with pytest.raises((StorageError, ReadOnlyError)):
        db.flush()
    with pytest.raises(ReadOnlyError):
        db.flush()
    directory.heal()


def test_a_record_without_entries_at_the_head_of_a_log_is_damage():
    """It was taken for the tear of a crash, and every write behind it was dropped in silence."""
    data = log(record(1, entry(b"a", b"1"), count=0), record(1, entry(b"a", b"1")))
    with pytest.raises(CorruptionError, match="in sequence"):
        replayed(data)


def test_a_merge_that_has_read_everything_is_not_given_up_at_close():
    """Short lives never got a compaction done: each was given up when it only had to be installed."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    for number in range(3):
        db.put(b"k", b"%d" % number)
        db._seal()
        flush_oldest(db._tree)
    db._shaker.stopping = True
    carry_out(db._tree, merge_everything(db._tree.version), db._shaker._pause)
    assert db.stats().tables == 1
    db.close()


def test_an_opening_that_a_signal_ends_leaves_no_thread_at_work_behind(path, monkeypatch):
    """The lock was given back while the shaker still wrote: it brought back a manifest the next opening had replaced."""
    made = []

    class Struck(Exception):
        pass

    class Shaken(Shaker):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self.thread)
            signal.raise_signal(signal.SIGUSR1)         # its handler runs in the main thread, and raises

    def strike(number, frame):
        raise Struck

    before = signal.signal(signal.SIGUSR1, strike)
    monkeypatch.setattr("lsm.tree.database.Shaker", Shaken)
    try:
        with pytest.raises(Struck):
            lsm.open(path)
    finally:
        signal.signal(signal.SIGUSR1, before)
        monkeypatch.undo()
    assert [thread.is_alive() for thread in made] == [False]
    with lsm.open(path) as db:
        db[b"k"] = b"v"


def test_a_directory_sync_without_room_is_final():
    """It counted as lack of room: every later write tried again, and failed again, for ever."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    directory.fail(errno.ENOSPC, kind="sync_directory")
    with pytest.raises(StorageError) as caught:
        db.put(b"k", b"v")
    assert caught.value.lasting and caught.value.errno == errno.ENOSPC
    directory.heal()
    with pytest.raises(ReadOnlyError):
        db.put(b"k", b"v")
    db.close()


def test_a_rename_without_room_has_changed_nothing():
    """The database took no more writes, although the manifest was the old one still."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory)
    directory.fail(errno.ENOSPC, kind="rename")
    with pytest.raises(StorageError):
        db.put(b"k", b"v")
    directory.heal()
    db.put(b"k", b"w")
    db.flush()
    db.close()
    assert open_files(directory.crashed_process()) == {b"k": b"w"}


def test_a_batch_of_entries_into_crowded_nodes(path):
    """Room was made sure of for too few nodes: a batch whose keys fall into nodes that are nearly full ran over it."""
    with lsm.open(path) as db:
        db.update({b"%06d" % n: b"" for n in range(0, 40_000, 2)})      # ascending: every node is full
        with db.write_batch() as batch:
            for n in range(1, 40_000, 32):
                batch.put(b"%06d" % n, b"")
        db._memtable.check()
        assert len(db) == 20_000 + len(range(1, 40_000, 32))


def test_who_changes_the_tree_does_not_wait_for_a_sync(path):
    """A finalizer that asked for a sync in the middle of an installation waited for a sync that waited for it."""
    with lsm.open(path) as db:
        db.put(b"k", b"v")
        with db._tree.lock:
            for ask in (db.sync, lambda: db.put(b"l", b"w", sync=True), lambda: db.write_many([(b"l", b"w")], sync=True)):
                with pytest.raises(BusyError):
                    ask()
        db.put(b"k", b"w", sync=True)
        assert list(db) == [b"k"]


def test_a_chunk_of_what_is_longer_than_it_says():
    """It was written past the end of an array of as many places as it said it had."""

    class Longer(list):
        def __len__(self):
            return 1

    chunk = lsm.Chunk(Longer([b"x"] * 5000))
    assert len(chunk) == 5000 and list(chunk.keys) == [b"x"] * 5000
    with pytest.raises(ValueError, match="as many values"):
        lsm.Chunk([b"x"], Longer([b"y", b"z"]))


@pytest.mark.parametrize("milliseconds", [1, 2, 3, 5, 8])
def test_a_scan_goes_on_where_a_signal_handler_raised(path, milliseconds):
    """Rows behind a long gap were lost when a handler raised in the gap and the scan was gone on with."""

    class Raised(Exception):
        pass

    def raise_it(number, frame):
        raise Raised

    with lsm.open(path) as db:
        db.put(b"a", b"x" * 3000)
        with db.write_batch() as batch:
            for n in range(150_000):
                batch.delete(b"g%07d" % n)
        db.update({b"z1": b"y" * 3000, b"z2": b"y" * 3000})
        rows, found = db.scan(values=False), []
        before = signal.signal(signal.SIGALRM, raise_it)
        try:
            signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
            while True:
                try:
                    found.append(next(rows))
                except Raised:
                    pass
                except StopIteration:
                    break
        except Raised:
            pass                                # it came between two rows, outside of the scan
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        # a handler that raises just when `next` has answered takes that row along: one may be missing, not both
        assert len({b"a", b"z1", b"z2"} - {*found, *rows}) <= 1


def test_versions_of_one_key_backward(path):
    """Each step backward over the versions of a key began at the newest again: minutes for a key written often."""
    with lsm.open(path) as db:
        for n in range(60_000):
            db.put(b"counter", b"%d" % n)
        with db.snapshot() as then:
            db.put(b"counter", b"last")
            assert list(db.scan(reverse=True)) == [(b"counter", b"last")]
            assert list(then.scan(reverse=True)) == [(b"counter", b"59999")]
        (chunk,) = db.scan_chunks(reverse=True)
        assert list(chunk.values) == [b"last"]


def test_what_the_manifest_before_needs_stays_until_the_switch_is_surely_on_disk():
    """The sync of the directory after the rename of CURRENT failed; that process ended, the next one opened and saw the new
    CURRENT, and removed what only the old one named. A loss of power then brought the old one back, without its files."""
    run = FaultyRun()
    for number in range(6):
        run.write({b"%d" % key: b"%d" % number for key in range(40)}, sync=True)
        run.flush()
    run.reopen()                        # there is no log now, and none is made
    run.directory.fail(errno.EIO, after=2, kind="sync_directory")
    run.attempt(run.db._shaker.compact)     # as the background thread does by itself: without a flush, which makes a log
    assert run.db._failure is not None
    run.db.close()
    run.directory = run.directory.reopen()
    run.options = {}                    # what is stored holds: nothing else has to be written down
    run.open()
    assert run.check_afterwards(every=1) > 1
    run.db.close()


@pytest.mark.parametrize("engine, part", [("lsm", ".log"), ("hashlog", ".data")])
def test_a_file_that_cannot_be_made_for_want_of_memory_ends_no_writing(engine, part):
    """Found by failing every allocation: what the system calls ENOMEM was taken for a failed disk."""
    directory = _core.SimulatedDirectory()
    db = open_on(directory) if engine == "lsm" else hashlog_engine.open_on(directory)
    directory.fail(errno.ENOMEM, kind="create", part=part)
    with pytest.raises(MemoryError):
        db.put(b"k", b"refused")
    directory.heal()
    assert db._failure is None
    db.put(b"k", b"v")
    assert dict(db.items()) == {b"k": b"v"}
    db.close()


def test_a_change_that_cannot_begin_for_want_of_memory_is_not_waited_for():
    """The thread that makes a change for the main one died before it had begun, and the main one waited for good."""
    class Full(dict):
        def __setitem__(self, key, value):
            raise MemoryError

    done = []
    with pytest.raises(MemoryError):
        uninterrupted(lambda: done.append("made"), lambda: None, Full())
    assert not done


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_close_gives_the_lock_back_though_there_is_no_memory_for_the_rest_of_it(path, engine, monkeypatch):
    """Found by the rig (memory): letting go of the files was cut short, and the lock was kept until the process ended."""
    db = lsm.open(path, engine=engine)
    db[b"a"] = b"1"

    def no_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(db, "_let_go", no_memory)
        db.close()
    with lsm.open(path, engine=engine) as again:
        assert again[b"a"] == b"1"


def test_the_plain_core_gives_its_lock_back_where_nothing_can_be_written_any_more(path):
    """Found by the rig (thin): ext4 had turned read-only after a failure of its device, and close raised OSError."""
    class Unwritable(io.FileIO):
        def truncate(self, size=None):
            raise OSError(errno.EROFS, "Read-only file system")

    directory = _pycore.Directory(str(path), create=True)
    directory.lock()
    genuine = directory._lock
    directory._lock = Unwritable(os.dup(genuine.fileno()), "r+")
    genuine.close()
    directory.unlock()
    other = _pycore.Directory(str(path))
    other.lock()
    other.close()
    directory.close()


def test_a_list_that_cannot_grow_gives_nothing_back_twice(path):
    """Found by the rig (memory): Cython 3.3.1 gave the item of a compiled list comprehension back twice when the list had no room:
    the names of a directory, the blocks of a table, the rows of a column. That broke the allocator of who tries it here."""
    pytest.importorskip("_testcapi")
    with lsm.open(path, compression="none") as db:
        db.write_many((b"%04d" % i, bytes(100)) for i in range(400))
        db.compact()
    program = textwrap.dedent("""
        import sys, _testcapi, lsm
        from lsm import _core
        db = lsm.open(sys.argv[1], read_only=True)
        directory = _core.Directory(sys.argv[1])
        chunk = next(db.scan_chunks())
        table = _core.Table(directory, next(n for n in directory.list() if n.endswith(".table")), _core.BlockCache(1 << 20))
        for call in (directory.list, chunk.keys.tolist, lambda: chunk.values[1:300], lambda: table.blocks):
            expected = call()
            for at in range(600):
                _testcapi.set_nomemory(at, at + 1)
                try:
                    answer = call()
                except MemoryError:
                    continue
                finally:
                    _testcapi.remove_mem_hooks()
                assert answer == expected
        print("well")
    """)
    ended = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=120,
                           env={**os.environ, "PYTHONMALLOC": "default", "PYTHONPATH": os.pathsep.join(sys.path)})
    assert ended.stdout.strip() == "well", (ended.returncode, ended.stderr[-2000:])


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_close_without_memory_to_end_the_background_thread_is_asked_for_again(path, engine, monkeypatch):
    """The thread went on, while its files and the lock were given away, and a second close did nothing."""
    db = lsm.open(path, engine=engine)
    db[b"a"] = b"1"
    background = db._background()

    def no_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(background, "stop", no_memory)
        with pytest.raises(MemoryError):
            db.close()
        with pytest.raises(lsm.LockedError):
            lsm.open(path, engine=engine)
    db.close()
    with lsm.open(path, engine=engine) as again:
        assert again[b"a"] == b"1"


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_what_a_handler_raised_while_a_step_failed_is_raised(path, engine):
    """The step's own error was, and Ctrl-C was dropped without a word."""
    with lsm.open(path, engine=engine) as db:
        def step():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
            raise StorageError(errno.ENOSPC, "no room")

        with pytest.raises(KeyboardInterrupt) as caught:
            db._uninterrupted(step)
        assert isinstance(caught.value.__cause__, StorageError)


@pytest.mark.parametrize("core", ["compiled", "plain"])
def test_a_log_that_cannot_be_closed_either_tells_what_failed_first(core):
    """Found by the rig (faults): the plain core told of the lack of room in closing it, which passes, and not of the failed sync
    of the directory, after which nothing may be written."""
    told = set()
    for after in range(6):
        directory = _core.SimulatedDirectory()
        directory.fail(errno.ENOSPC, after=after, sticky=True)
        place, writer = (directory, _core.LogWriter) if core == "compiled" else (PlainDirectory(directory), _pycore.LogWriter)
        try:
            writer(place, 7, bytes(16))
        except StorageError as error:
            first = next(operation.kind for operation in directory.journal() if operation.result)
            assert error.lasting == (first == "sync_directory"), (first, error)
            told.add(first)
    assert {"create", "sync", "sync_directory"} <= told


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_what_a_handler_raises_keeps_its_cause(path, engine):
    def handler(*_):
        raise TimeoutError from ZeroDivisionError()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with lsm.open(path, engine=engine) as db, pytest.raises(TimeoutError) as caught:
            db._uninterrupted(lambda: (os.kill(os.getpid(), signal.SIGUSR1), time.sleep(0.2)))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
