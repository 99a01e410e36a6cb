"""hashlog: every operation of a workload fails, once and for ever, with EIO and with ENOSPC; and a disk that is full at every
size. The rules are those of fault_engine.py."""
import errno
import random

import pytest
from crash_engine import LONG, GONE, random_changes, sampled
from fault_engine import ROOM, TYPED, told
from hashlog_engine import FaultyHashRun, open_on
from lsm.errors import ReadOnlyError, StorageError

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


def steps_of_workload(seed, mapped=True):
    run = FaultyHashRun(mapped=mapped)
    workload(run, random.Random(seed))
    assert not run.errors and run.db.stats().merges
    steps = run.directory.steps
    run.db.close()
    return steps


def play(seed, plan, mapped=True, every=6):
    run = None
    try:
        run = FaultyHashRun(mapped=mapped, plan=plan)
        workload(run, random.Random(seed))
        run.read()
        count = run.check_afterwards(every, str(plan))
        if plan["error"] in ROOM and not any(o.result for o in run.journal if "sync" in o.kind) and run.db is not None:
            assert run.db._failure is None, "lack of room passes"
        run.check_goes_on()
        return count
    except BaseException:
        if run is not None:
            print("WRONG:", told(plan, run))
        raise


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "plain"])
def test_every_operation_fails(mapped, error, sticky):
    steps = steps_of_workload("faults", mapped)
    plans = [{"error": ERRORS[error], "after": at, "sticky": sticky} for at in range(steps + 2)]
    count = states = 0
    for plan in sampled(plans, 5, f"{mapped} {error} {sticky}"):
        count += 1
        states += play("faults", plan, mapped)
    print(f"{count} of {len(plans)} operations failed; {states:,} states checked afterwards")


SYNCS = [("sync", ".data"), ("sync", ".hint"), ("sync", "HASHLOG"), ("sync_directory", "")]


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind, part", SYNCS)
def test_every_sync_fails(kind, part, sticky):
    clean = FaultyHashRun()
    workload(clean, random.Random("syncs"))
    steps = clean.directory.steps_of()[kind]
    clean.db.close()
    plans = [{"error": errno.EIO, "after": at, "sticky": sticky, "kind": kind, "part": part} for at in range(steps)]
    count = states = 0
    for plan in sampled(plans, 4, f"{kind} {part} {sticky}"):
        count += 1
        states += play("syncs", plan, every=3)
    print(f"{count} plans; {states:,} states checked afterwards")


@pytest.mark.parametrize("kind, part", [("sync", ".data"), ("sync_directory", "")])
def test_after_a_failed_sync_the_store_is_read_only_with_the_cause(kind, part):
    run = FaultyHashRun()
    run.write({b"a": b"1"}, sync=True)
    run.directory.fail(errno.EIO, kind=kind, part=part)
    if part == ".data":
        run.write({b"a": b"2"}, sync=True)
    else:
        run.flush()
    assert [type(error) for error in run.errors] == [StorageError] and run.errors[0].errno == errno.EIO
    for sync in (False, True):
        with pytest.raises(ReadOnlyError) as caught:
            run.db.put(b"b", b"refused", sync=sync)
        assert caught.value.__cause__ is run.errors[0]
    for call in (run.db.sync, run.db.flush, run.db.compact):
        with pytest.raises(TYPED):
            call()
    assert run.db[b"a"] == run.history[-1][b"a"]
    run.check_afterwards(every=1)
    run.check_goes_on()


def test_no_room_at_every_size_of_the_disk_then_room():
    """Writes are refused while the disk is full and go on when there is room again; nobody reopens anything."""
    clean = FaultyHashRun()
    workload(clean, random.Random("room"))
    most = clean.directory.used + (1 << 19)
    clean.db.close()
    count = 0
    for capacity in range(0, most, most // (400 if LONG else 50)):
        count += 1
        run = FaultyHashRun()
        run.directory.capacity = capacity
        try:
            workload(run, random.Random("room"))
            assert all(isinstance(error, StorageError) and error.errno == errno.ENOSPC for error in run.errors), run.errors
            run.read()
            run.check_afterwards(every=8)
            if run.db is not None:
                assert run.db._failure is None
                run.directory.capacity = 1 << 40
                for number in range(12):
                    before = len(run.errors)
                    run.write({b"room": b"%d" % number * 400, b"key01": GONE}, sync=number % 2 == 0)
                    assert len(run.errors) == before, run.errors[-1]
            run.directory.capacity = 1 << 40
            run.check_goes_on()
        except BaseException:
            print("WRONG: capacity", capacity, told({}, run))
            raise
    print(f"{count} sizes of the disk")


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
    from lsm.engines.hashlog import database, merger
    run = FaultyHashRun()
    run.write({b"a": b"1" * 2000}, sync=True)
    directory = _core.SimulatedDirectory(run.directory.crashed_process())

    def refused(files, inputs, *rest):
        raise StorageError(errno.ENOSPC, "No space left on device", files.directory.path)

    with monkeypatch.context() as patch:
        for module in (database, merger):
            patch.setattr(module, "carry_out", refused)
        full = open_on(directory, background=True)
        full.put(b"b", b"2")
        full.close()
    for _ in range(2):
        directory = _core.SimulatedDirectory(directory.crashed_process())
        with open_on(directory) as again:
            assert dict(again.items()) == {b"a": b"1" * 2000, b"b": b"2"} and not again._data.recovered
