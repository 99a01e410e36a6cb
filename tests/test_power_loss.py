"""The engine on the simulated disk: a power cut, a failure, a full disk at every operation of the storage layer.

One recorded run per option set, with flushes, rotations and compactions in it; then every state that tests/crash.py makes
of its journal is opened and held against the oracle. The last tests show that the states can see: journals from which a
kind of sync is taken out must fail.
"""
import errno
import random

import pytest
from crash import check_recovered, process_bounds, states
from lsm import _core
from lsm.errors import Error
from lsm.engines.lsm import DB

SMALL = {"memtable_bytes": 4096, "block_bytes": 256, "table_bytes": 4096, "compression": "none"}
WRITES = 30


def opened(directory):
    return DB("/simulated", _directory=directory, _background=False, **SMALL)


def batch_of(number, rng):
    return {b"%02d" % rng.randrange(20): rng.choice([None, b"value %d" % number + bytes(rng.choice([1, 700]))])
            for _ in range(rng.choice([1, 3]))}


def apply(contents, batch):
    for key, value in batch.items():
        if value is None:
            contents.pop(key, None)
        else:
            contents[key] = value


def write(db, batch, sync):
    with db.write_batch(sync=sync) as changes:
        for key, value in batch.items():
            if value is None:
                changes.delete(key)
            else:
                changes.put(key, value)


def run(directory, history, sync_every, seed=1):
    """Write, flush and compact, marking what was started and promised. Stops at the first error, which it answers."""
    rng = random.Random(seed)
    model = dict(history[-1])
    db = None
    try:
        db = opened(directory)
        for number in range(1, WRITES + 1):
            batch, sync = batch_of(number, rng), number % sync_every == 0
            apply(model, batch)
            history.append(dict(model))
            directory.mark("started", number)
            write(db, batch, sync)
            directory.mark("synced" if sync else "acknowledged", number)
            if number % 12 == 0:
                db.flush()
                directory.mark("synced", number)
            if number % 20 == 0:
                db.compact()
        db.close()
        directory.mark("synced", WRITES)
    except (Error, OSError) as error:
        return error
    finally:
        if db is not None:
            db.close()


def recover(files):
    """What a new process finds, and that it can go on from there."""
    directory = _core.SimulatedDirectory(files)
    with opened(directory) as db:
        contents = dict(db.scan())
        db.put(b"afterwards", b"written", sync=True)
    with opened(directory.reopen()) as db:
        again = dict(db.scan())
    assert again == {**contents, b"afterwards": b"written"}
    return contents


def violations(journal, history, model, folder=0):
    found = []
    for state in states(journal, model, folder):
        try:
            check_recovered(history, *state.bounds, recover(state.files))
        except (AssertionError, Error) as error:
            found.append(f"before operation {state.point} ({state.description}): {type(error).__name__}: {error}")
    return found


def recorded(sync_every, mapped=True):
    directory, history = _core.SimulatedDirectory(mapped=mapped), [{}]
    assert run(directory, history, sync_every) is None
    return directory.journal(), history


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "plain"])
@pytest.mark.parametrize("sync_every", [1, 5])
@pytest.mark.parametrize("model", ["weak", "ext4"])
def test_a_power_cut_at_every_operation(model, sync_every, mapped):
    journal, history = recorded(sync_every, mapped)
    assert {"rename", "unlink", "sync_directory"} <= {operation.kind for operation in journal}
    assert violations(journal, history, model) == []


def test_a_power_cut_during_recovery():
    """Every state of the recovery from a sample of the states; recovering may be cut as often as it likes."""
    journal, history = recorded(sync_every=5)
    for state in list(states(journal, "weak"))[::101]:
        directory = _core.SimulatedDirectory(state.files)
        opened(directory).close()
        for second in states(directory.journal(), "weak"):
            with opened(_core.SimulatedDirectory(second.files)) as db:
                check_recovered(history, *state.bounds, dict(db.scan()))


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_failure_of_every_operation(number, sticky):
    """Whatever fails: the process that dies after it loses nothing acknowledged, and a power cut nothing synced."""
    probe = _core.SimulatedDirectory()
    assert run(probe, [{}], sync_every=3) is None
    for step in range(probe.steps):
        directory, history = _core.SimulatedDirectory(), [{}]
        directory.fail(number, after=step, sticky=sticky)
        run(directory, history, sync_every=3)
        journal = directory.journal()
        try:
            check_recovered(history, *process_bounds(journal), recover(directory.crashed_process()))
            if step % 25 == 0:
                for state in list(states(journal, "ext4", start=len(journal)))[::5]:
                    check_recovered(history, *state.bounds, recover(state.files))
        except (AssertionError, Error) as error:
            raise AssertionError(f"after the failure of step {step} ({sticky=}): {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("sync_every", [1, 5])
def test_a_failed_sync_is_never_followed_by_a_promise(sync_every):
    """For every sync of the run: what is acknowledged after it failed must survive a power cut like all else."""
    probe = _core.SimulatedDirectory()
    assert run(probe, [{}], sync_every) is None
    for step in range(probe.steps_of()["sync"]):
        directory, history = _core.SimulatedDirectory(), [{}]
        directory.fail(errno.EIO, after=step, kind="sync")
        run(directory, history, sync_every)
        journal = directory.journal()
        for state in states(journal, "weak", start=len(journal)):
            check_recovered(history, *state.bounds, recover(state.files))


def test_a_full_disk_at_every_size():
    for capacity in range(0, 200_000, 4096 + 512):
        directory, history = _core.SimulatedDirectory(), [{}]
        directory.capacity = capacity
        run(directory, history, sync_every=4)
        check_recovered(history, *process_bounds(directory.journal()), recover(directory.crashed_process()))


@pytest.mark.parametrize("kind, model", [("sync", "weak"), ("sync", "ext4"), ("sync_directory", "weak")])
def test_the_states_see_a_missing_sync(kind, model):
    journal, history = recorded(sync_every=1)
    assert violations([operation for operation in journal if operation.kind != kind][:120], history, model)
