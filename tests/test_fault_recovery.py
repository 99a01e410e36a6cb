"""A disk that fails or is full while the database recovers; and power that goes after a process had died."""
import errno
import random

import pytest

from crash import bounds, states
from crash_engine import MODELS, SMALL, Run, abandon, check_killed, check_states, open_on, random_changes, sampled
from lsm import _core
from lsm.errors import StorageError


def unclosed(seed, batches=25, synced=0.1):
    rng = random.Random(seed)
    run = Run(SMALL)
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number, keys=20), sync=rng.random() < synced)
    return run


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("sticky", [False, True])
def test_recovery_on_a_failing_disk(error, sticky):
    """Opening answers or raises StorageError, whatever fails; nothing is lost by it, and the next opening is right."""
    run = unclosed("failing")
    files, lo_hi = run.directory.crashed_process(), (run.last, run.last)
    clean = _core.SimulatedDirectory(files)
    open_on(clean).close()
    count = 0
    for at in sampled(range(clean.steps + 1), 2, str(error)):
        directory = _core.SimulatedDirectory(files)
        directory.fail(error, after=at, sticky=sticky)
        try:
            db = open_on(directory)
            try:
                assert dict(db.items()) == run.history[-1], at
            except StorageError:
                pass
            db.close()
        except StorageError as raised:
            assert raised.errno == error
        directory.heal()
        run.check_files(directory.crashed_process(), lo_hi)
        for model in MODELS:
            journal = directory.journal()
            for state in sampled(states(journal, model, start=len(journal)), 4, at):
                run.check_files(state.files, lo_hi)
                count += 1
        db = open_on(directory.reopen())
        assert dict(db.items()) == run.history[-1], at
        db.close()
    print(f"{count} states checked")


@pytest.mark.parametrize("synced", [0.0, 0.1])
def test_power_loss_after_the_death_of_a_process(synced):
    """What the second process found in the page cache, and was asked about, must not vanish."""
    rng = random.Random(f"death {synced}")
    run = Run(SMALL)
    for number in range(1, 31):
        run.write(random_changes(rng, number, keys=20), sync=rng.random() < synced)
        if number % 7 == 0:
            run.kill()
    run.close()
    check_states(run, every=10)
    check_killed(run, every=10)


@pytest.mark.parametrize("synced", [0.0, 0.3])
def test_power_loss_after_a_recovery_without_room(synced):
    """A process died, the next one has no room to flush what the logs hold, goes on all the same, and the power goes.

    Until there is room nothing can be promised: what the first process did not sync may never have reached the disk.
    """
    run = unclosed("no room", batches=8, synced=synced)
    abandon(run.db)
    run.directory.close()
    run.directory = run.directory.reopen()
    run.directory.fail(errno.ENOSPC, kind="create", part=".table", sticky=True)
    run.db = open_on(run.directory)
    assert dict(run.db.items()) == run.history[-1]
    run.write({b"later": b"1"})
    run.begin({b"later": b"2"})
    with pytest.raises(StorageError) as caught:
        run.db.put(b"later", b"2", sync=True)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(StorageError):
        run.db.sync()
    run.write({b"later": b"3"})
    run.directory.heal()
    run.write({b"later": b"there is room"}, sync=True)
    assert run.db._failure is None
    run.write({b"later": b"5"})
    abandon(run.db)
    check_states(run, every=4)
    assert bounds(run.journal)[0] == run.last - 1
