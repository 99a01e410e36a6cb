"""hashlog: every operation of a workload fails, once and for ever, with EIO and with ENOSPC; and a disk that is full at every
size. The rules are those of fault_engine.py."""
import errno
from functools import partial

import pytest
from crash_engine import LONG, random_changes
from fault_engine import check_no_room_at_every_size, check_read_only_after_a_failed_sync, measured, play_all
from hashlog_engine import SMALL, FaultyHashRun, open_on
from lsm import _core
from lsm.errors import StorageError

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


def workload(run, rng, batches=30):
    open_ = []
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number, keys=12, value_bytes=900), sync=number % 7 == 0)
        if number == 8:
            run.sync()
        if number == 12:
            run.flush()
        if number == 14 and run.db is not None:
            run.attempt(lambda: open_.append(run.db.snapshot()))
        if number == 15:
            run.read()
        if number == 18:
            run.compact()
        if number == 20 and open_:
            open_.pop().close()
        if number == 22:
            run.reopen()
    run.read()


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "plain"])
def test_every_operation_fails(mapped, error, sticky):
    make = partial(FaultyHashRun, mapped=mapped)
    steps, merges = measured(make, workload, "faults", lambda run: (run.directory.steps, run.db.stats().merges))
    assert merges
    plans = [{"error": ERRORS[error], "after": at, "sticky": sticky} for at in range(steps + 2)]
    play_all(make, workload, "faults", plans, every=6, salt=f"{mapped} {error} {sticky}", keep=5)


SYNCS = [("sync", ".data"), ("sync", ".hint"), ("sync", "HASHLOG"), ("sync_directory", "")]


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind, part", SYNCS)
def test_every_sync_fails(kind, part, sticky):
    steps = measured(FaultyHashRun, workload, "syncs", lambda run: run.directory.steps_of()[kind])
    plans = [{"error": errno.EIO, "after": at, "sticky": sticky, "kind": kind, "part": part} for at in range(steps)]
    play_all(FaultyHashRun, workload, "syncs", plans, every=3, salt=f"{kind} {part} {sticky}", keep=4)


@pytest.mark.parametrize("kind, part", [("sync", ".data"), ("sync_directory", "")])
def test_after_a_failed_sync_the_store_is_read_only_with_the_cause(kind, part):
    check_read_only_after_a_failed_sync(FaultyHashRun(), kind, part, by_write=part == ".data")


def test_no_room_at_every_size_of_the_disk_then_room():
    check_no_room_at_every_size(FaultyHashRun, workload, beyond=1 << 19, sizes=400 if LONG else 50)


def test_no_room_to_copy_what_was_recovered():
    """The database opens all the same, and is read; nothing can be synced until there is room."""
    run = FaultyHashRun()
    run.write({b"a": b"1" * 2000}, sync=True)
    run.write({b"b": b"2" * 1000})
    files = run.directory.crashed_process()
    from lsm import _core
    directory = _core.SimulatedDirectory(files)
    directory.fail(errno.ENOSPC, kind="append", part=".data", sticky=True)
    again = FaultyHashRun(directory=directory)
    assert again.db is not None and dict(again.db.items()) == run.history[-1]
    with pytest.raises(StorageError):
        again.db.sync()
    directory.heal()
    again.db.put(b"c", b"3", sync=True)
    assert not again.db._data.recovered
    assert dict(again.db.items()) == {**run.history[-1], b"c": b"3"}
    again.db.close()


def test_closing_while_there_is_no_room_to_copy_what_was_recovered(monkeypatch):
    """Nothing newer is made for keeping before what was recovered is: it lies behind it."""
    from lsm import _core
    from lsm.engines.hashlog import merger, recovery
    run = FaultyHashRun()
    run.write({b"a": b"1" * 2000}, sync=True)
    directory = _core.SimulatedDirectory(run.directory.crashed_process())

    def refused(files, inputs, *rest):
        raise StorageError(errno.ENOSPC, "No space left on device", files.directory.path)

    with monkeypatch.context() as patch:
        for module in (recovery, merger):
            patch.setattr(module, "carry_out", refused)
        full = open_on(directory, background=True)
        full.put(b"b", b"2")
        full.close()
    for _ in range(2):
        directory = _core.SimulatedDirectory(directory.crashed_process())
        with open_on(directory) as again:
            assert dict(again.items()) == {b"a": b"1" * 2000, b"b": b"2"} and not again._data.recovered


READS = {
    "get": lambda db, keys: [(key, db.get(key)) for key in keys],
    "multi_get": lambda db, keys: list(zip(keys, db.multi_get(keys), strict=True)),
    "scan": lambda db, keys: list(db.scan()),
    "scan back": lambda db, keys: list(db.scan(reverse=True))[::-1],
    "snapshot": lambda db, keys: list(db.snapshot().scan()),
}


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("way", READS)
def test_a_failing_read_is_told(way, sticky):
    """Of records within a page, over several, and too large for them."""
    rows = {b"%02d" % n: b"%02d" % n * (n * n * n) for n in range(40)}
    directory = _core.SimulatedDirectory()
    with open_on(directory, SMALL) as db:
        db.update(rows)
    with open_on(directory.reopen(), {**SMALL, "block_cache_bytes": 0}) as db:
        keys, right = list(rows), list(rows.items())
        before = directory.steps_of()["pread"]
        assert READS[way](db, keys) == right
        reads = directory.steps_of()["pread"] - before
        assert reads > 5
        for at in range(reads):
            directory.fail(errno.EIO, kind="pread", after=at, sticky=sticky)
            with pytest.raises(StorageError) as caught:
                READS[way](db, keys)
            assert caught.value.errno == errno.EIO and caught.value.filename.endswith(".data")
            directory.heal()
            assert READS[way](db, keys) == right
