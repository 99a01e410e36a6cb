"""hashlog on the simulated disk: a power cut, or the death of the process, before every operation of the storage layer; in the
middle of merges, while snapshots are open, and in the middle of recovery.

One recorded run, with rotations, files closed and merged in it; then every state that tests/crash.py makes of its journal is
opened and held against the oracle of crash_engine.py: what is recovered is history[p], for a p between the last write promised
and the last one started. That one equality says that nothing is lost and nothing deleted comes back.
"""
import random

import pytest
from crash import states
from crash_engine import GONE, check_killed, check_states, random_changes, sampled
from hashlog_engine import SMALL, HashRun, open_on
from lsm import _core
from lsm.background import Wish
from lsm.engines.hashlog.database import HashLog
from lsm.errors import Error


def workload(run, seed, batches=40, snapshots=False):
    rng, open_ = random.Random(seed), []
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number, keys=12, value_bytes=900), sync=number % 9 == 0)
        if number == 11:
            run.sync()
        if number % 13 == 0:
            run.flush()
        if number % 17 == 0:
            run.compact()
        if snapshots and number % 6 == 0:
            open_.append(run.db.snapshot())
            if len(open_) > 2:
                open_.pop(0).close()
    run.read_all()
    return open_


def kinds(journal):
    return {operation.kind for operation in journal}


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "plain"])
@pytest.mark.parametrize("snapshots", [False, True], ids=["", "snapshots"])
def test_a_power_cut_at_every_operation(mapped, snapshots):
    run = HashRun(mapped=mapped)
    workload(run, "cut", snapshots=snapshots)
    merges = run.db.stats().merges
    assert merges >= 3 and {"rename", "unlink", "sync_directory"} <= kinds(run.journal)
    run.close()
    check_states(run, every=4, salt=f"{mapped} {snapshots}")


def test_a_killed_process_at_every_operation():
    run = HashRun()
    workload(run, "killed")
    run.reopen()
    workload(run, "killed again", batches=15)
    run.kill()
    run.read_all()
    run.close()
    check_killed(run, every=2)


def test_a_power_cut_during_recovery():
    run = HashRun()
    workload(run, "recovery", batches=25)
    count = 0
    for state in sampled(states(run.journal, "weak"), 60, "recovery"):
        directory = _core.SimulatedDirectory(state.files)
        open_on(directory).close()
        for second in sampled(states(directory.journal(), "weak"), 4, state.point):
            run.check_files(second.files, state.bounds, again=False)
            count += 1
    print(f"{count} states of recoveries")


def test_sessions_one_after_another():
    """Each opens what the last one left, closed or killed; files of sessions are merged with one another."""
    run = HashRun()
    rng = random.Random("sessions")
    for session in range(12):
        for _ in range(rng.randrange(1, 6)):
            run.write(random_changes(rng, run.last + 1, keys=8, value_bytes=600), sync=rng.random() < 0.3)
        run.reopen() if session % 3 else run.kill()
        run.read_all()
    assert run.db.stats().files < 12
    run.close()
    check_states(run, every=12, models=("weak",))


def test_small_stories():
    """Every order of a few steps on two keys: deletions, merges, crashes; then every state of each."""
    steps = {
        "put": lambda run: run.write({b"k": b"%d" % run.last * 300}),
        "delete": lambda run: run.write({b"k": GONE}, sync=True),
        "other": lambda run: run.write({b"o": b"%d" % run.last * 300, b"p": b"1"}),
        "flush": lambda run: run.flush(),
        "compact": lambda run: run.compact(),
        "kill": lambda run: run.kill(),
    }
    rng, count = random.Random("stories"), 0
    stories = [("put", "flush", "delete", "flush", *(rng.choice(list(steps)) for _ in range(4))) for _ in range(40)]
    for story in stories:
        run = HashRun({**SMALL, "file_bytes": 4096})
        for step in story:
            steps[step](run)
            run.read_all()
        count += check_states(run, every=6, models=("weak",), quiet=True)
    print(f"{len(stories)} stories, {count:,} states")


@pytest.mark.parametrize("kind", ["sync", "sync_directory"])
def test_the_states_see_a_missing_sync(kind):
    run = HashRun()
    workload(run, "blind")
    journal = [operation for operation in run.journal if operation.kind != kind]
    with pytest.raises((AssertionError, Error)):
        check_states(run, every=2, models=("weak",), journal=journal, quiet=True)


def test_a_merge_that_does_not_sync_what_overwrote_loses_it(monkeypatch):
    """Why a merge syncs the files being written to before it is installed: the rig sees it when it does not."""
    def story():
        run = HashRun()
        run.write({b"k": b"old" * 100}, sync=True)
        run.flush()
        run.write({b"k": b"new" * 100})
        run.db._merger.wanted[Wish()] = None
        run.db._merger.shake()
        return run

    check_states(story(), models=("weak",), quiet=True)

    class Deaf(HashLog):
        def _sync_logs(self):
            pass

    monkeypatch.setattr("hashlog_engine.HashLog", Deaf)
    with pytest.raises((AssertionError, Error)):
        check_states(story(), models=("weak",), quiet=True)
