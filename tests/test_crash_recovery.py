"""Crashes while a crash is being recovered from, twice and three times over.

What is on disk when recovery begins is durable, so that a recovery that is cut short and begun again, however often,
must come to the very same contents: it is idempotent.
"""
import itertools
import random

import pytest

from crash import states
from crash_engine import MODELS, SMALL, TIERED, Run, open_on, random_changes, sampled
from lsm import _core


def interrupted(options, batches, seed, mapped):
    """A run that has tables, logs and manifests in the making."""
    rng = random.Random(seed)
    run = Run(options, mapped=mapped)
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number), sync=rng.random() < 0.1)
    return run


def recover(run, files):
    """Open the files: (journal of that, p). Once it has opened, what was found is promised to stay."""
    directory = _core.SimulatedDirectory(files, mapped=run.mapped)
    db = open_on(directory, run.options)
    contents = dict(db.items())
    p = run.sequences.index(db._sequence)
    assert contents == run.history[p]
    journal = directory.journal()
    db.close()
    return journal, p


def crash_again(run, files, p, depth, every, counts):
    journal, found = recover(run, files)
    assert found == p, f"recovered write {found} this time, {p} before"
    for model in MODELS:
        for state in sampled(states(journal, model), every, counts[depth], long=every // 4):
            counts[depth] += 1
            if depth == 2:
                crash_again(run, state.files, p, 3, every * 20, counts)
            elif depth == 3:
                assert recover(run, state.files)[1] == p


@pytest.mark.parametrize("name, options, mapped", [("leveled", SMALL, True), ("tiered", TIERED, True),
                                                   ("plain logs", SMALL, False)])
def test_recovery_is_idempotent_whenever_it_is_interrupted(name, options, mapped):
    run = interrupted(options, 40, f"recovery {name}", mapped)
    journal = run.journal
    counts = {1: 0, 2: 0, 3: 0}
    for state in sampled(itertools.chain(*(states(journal, model) for model in MODELS)), 200, name, long=40):
        counts[1] += 1
        p = run.check(state, again=False)
        try:
            crash_again(run, state.files, p, 2, 8, counts)
        except BaseException:
            print(f"WRONG: before operation {state.point}, {state.description}, {state.bounds}")
            raise
    print(f"states: {counts[1]:,} of crashes, {counts[2]:,} of crashes in recovery from them, {counts[3]:,} of third ones")
    assert counts[2] > 50
    run.db.close()


def test_opening_again_and_again_changes_nothing():
    run = interrupted(SMALL, 40, "again", True)
    files = run.directory.crashed_process()
    for _ in range(4):
        directory = _core.SimulatedDirectory(files)
        db = open_on(directory)
        assert dict(db.items()) == run.history[-1] and db._sequence == run.sequences[-1]
        files = directory.crashed_process()         # never closed
        assert sum(name.startswith("MANIFEST") for name in files) == 1
        assert not any(name.endswith(".log") for name in files)     # who only reads makes none
    run.db.close()
