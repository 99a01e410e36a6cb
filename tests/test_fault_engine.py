"""Every operation of a workload fails: once and for ever, with EIO and with ENOSPC; and syncs, by what is synced."""
import errno
import random

import pytest

from crash import bounds
from crash_engine import LONG, SMALL, GONE, sampled
from fault_engine import ROOM, TYPED, FaultyRun, told, workload
from lsm.errors import ReadOnlyError, StorageError

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


def steps_of_workload(seed, mapped=True):
    run = FaultyRun(mapped=mapped)
    workload(run, random.Random(seed))
    assert not run.errors
    steps = run.directory.steps
    run.db.close()
    return steps


def play(seed, plan, mapped=True, every=4):
    """The workload on a disk that fails so, and all that must hold afterwards."""
    run = None
    try:
        run = FaultyRun(mapped=mapped, plan=plan)
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
    for plan in sampled(plans, 6, f"{mapped} {error} {sticky}"):
        count += 1
        states += play("faults", plan, mapped)
    print(f"{count} of {len(plans)} operations failed; {states:,} states checked afterwards")


SYNCS = [("sync", ".log"), ("sync", ".table"), ("sync", "MANIFEST"), ("sync", "CURRENT"), ("sync_directory", "")]


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind, part", SYNCS)
def test_every_sync_fails(kind, part, error, sticky):
    """After it nothing is promised that is not so."""
    clean = FaultyRun()
    workload(clean, random.Random("syncs"))
    steps = clean.directory.steps_of()[kind]
    clean.db.close()
    plans = [{"error": ERRORS[error], "after": at, "sticky": sticky, "kind": kind, "part": part} for at in range(steps)]
    count = states = 0
    for plan in sampled(plans, 12, f"{kind} {part} {error} {sticky}"):
        count += 1
        states += play("syncs", plan, every=2)
    print(f"{count} plans; {states:,} states checked afterwards")


@pytest.mark.parametrize("kind, part", SYNCS[:3] + SYNCS[4:])
def test_after_a_failed_sync_the_store_is_read_only_with_the_cause(kind, part):
    run = FaultyRun()
    run.write({b"a": b"1"}, sync=True)
    run.directory.fail(errno.EIO, kind=kind, part=part)
    if part == ".log":
        run.write({b"a": b"2"}, sync=True)
    else:
        run.flush()
    assert [type(error) for error in run.errors] == [StorageError] and run.errors[0].errno == errno.EIO
    before = bounds(run.journal)[0]
    for sync in (False, True):
        with pytest.raises(ReadOnlyError) as caught:
            run.db.put(b"b", b"refused", sync=sync)
        assert caught.value.__cause__ is run.errors[0]
    for call in (run.db.sync, run.db.flush, run.db.compact):
        with pytest.raises(TYPED):
            call()
    assert bounds(run.journal)[0] == before
    assert run.db[b"a"] == run.history[-1][b"a"]
    run.check_afterwards(every=1)
    run.check_goes_on()


# ------------------------------------------------------------------------------------------------------- no room

def test_no_room_at_every_size_of_the_disk_then_room():
    """Writes are refused while the disk is full and go on when there is room again; nobody reopens anything."""
    clean = FaultyRun()
    workload(clean, random.Random("room"))
    most = clean.directory.used + (1 << 20)
    clean.db.close()
    count = 0
    for capacity in range(0, most, most // (400 if LONG else 60)):
        count += 1
        run = FaultyRun()
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


def test_the_same_fault_again_and_again():
    """Room comes and goes at random."""
    rng = random.Random("comes and goes")
    run = FaultyRun(SMALL)
    for number in range(1, 300 if LONG else 120):
        if rng.random() < 0.2:
            run.directory.heal()
        if rng.random() < 0.2:
            run.directory.fail(errno.ENOSPC, kind=rng.choice(["create", "append", "reserve"]), sticky=rng.random() < 0.5,
                               after=rng.randrange(4))
        if rng.random() < 0.1:
            run.directory.heal()
            run.db.flush() if rng.random() < 0.5 else run.db.compact()
        run.write({b"key%d" % rng.randrange(20): rng.randbytes(rng.randrange(1200))})
        assert run.db._failure is None
        run.read()
    assert run.errors
    run.check_afterwards(every=1)
    run.check_goes_on()
