"""Every operation of a workload fails: once and for ever, with EIO and with ENOSPC; and syncs, by what is synced."""
import errno
import random
from functools import partial

import pytest

from crash_engine import LONG, SMALL
from fault_engine import (
    FaultyRun, check_no_room_at_every_size, check_read_only_after_a_failed_sync, measured, play_all, workload,
)

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "plain"])
def test_every_operation_fails(mapped, error, sticky):
    make = partial(FaultyRun, mapped=mapped)
    steps = measured(make, workload, "faults", lambda run: run.directory.steps)
    plans = [{"error": ERRORS[error], "after": at, "sticky": sticky} for at in range(steps + 2)]
    play_all(make, workload, "faults", plans, every=4, salt=f"{mapped} {error} {sticky}", keep=6)


SYNCS = [("sync", ".log"), ("sync", ".table"), ("sync", "MANIFEST"), ("sync", "CURRENT"), ("sync_directory", "")]


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind, part", SYNCS)
def test_every_sync_fails(kind, part, error, sticky):
    """After it nothing is promised that is not so."""
    steps = measured(FaultyRun, workload, "syncs", lambda run: run.directory.steps_of()[kind])
    plans = [{"error": ERRORS[error], "after": at, "sticky": sticky, "kind": kind, "part": part} for at in range(steps)]
    play_all(FaultyRun, workload, "syncs", plans, every=2, salt=f"{kind} {part} {error} {sticky}", keep=12)


@pytest.mark.parametrize("kind, part", SYNCS[:3] + SYNCS[4:])
def test_after_a_failed_sync_the_store_is_read_only_with_the_cause(kind, part):
    check_read_only_after_a_failed_sync(FaultyRun(), kind, part, by_write=part == ".log")


def test_no_room_at_every_size_of_the_disk_then_room():
    check_no_room_at_every_size(FaultyRun, workload, beyond=1 << 20, sizes=400 if LONG else 60)


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
