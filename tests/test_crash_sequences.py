"""Every sequence of up to three steps, from an empty and from a small database, and every state a crash leaves of it.

Almost every crash bug there ever was shows in so few steps. The states of the first two steps of a sequence are those
of a shorter one, so that only the last step's are checked.
"""
import itertools

import pytest

from crash_engine import GONE, SMALL, Run, check_killed, check_states
from lsm import _core

STEPS = {
    "put": lambda run: run.write({b"a": b"put %d" % run.last}),
    "delete": lambda run: run.write({b"a": GONE}),
    "batch": lambda run: run.write({b"a": b"batch %d" % run.last, b"b": GONE, b"c": b"%d" % run.last * 2000}),
    "synced put": lambda run: run.write({b"b": b"synced %d" % run.last}, sync=True),
    "sync": lambda run: run.sync(),
    "flush": lambda run: run.flush(),
    "compact": lambda run: run.compact(),
    "reopen": lambda run: run.reopen(),
    "kill": lambda run: run.kill(),
}
SEQUENCES = [sequence for length in (1, 2, 3) for sequence in itertools.product(STEPS, repeat=length)]


def small_database(begin=Run):
    """Two tables on two levels and a log that was never closed: (files, contents, last sequence)."""
    run = begin()
    run.write({b"a": b"old", b"b": b"old", b"z": b"old" * 500})
    run.compact()
    run.write({b"b": b"newer", b"z": GONE})
    run.flush()
    run.write({b"a": b"in the log"})
    return run.directory.crashed_process(), run.history[-1], run.sequences[-1]


SMALL_FILES, SMALL_MODEL, SMALL_SEQUENCE = small_database()


def begin(start):
    if start == "empty":
        return Run(SMALL)
    return Run(SMALL, SMALL_FILES, SMALL_MODEL, SMALL_SEQUENCE)


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("start", ["empty", "small"])
def test_every_state_of_every_sequence(start, first):
    count = 0
    for sequence in SEQUENCES:
        if sequence[0] != first:
            continue
        run = begin(start)
        for step in sequence[:-1]:
            STEPS[step](run)
        before = len(run.journal) if len(sequence) > 1 else 0
        STEPS[sequence[-1]](run)
        run.read_all()
        try:
            count += check_states(run, every=20 if len(sequence) == 3 else 3, salt=str(sequence), quiet=True, start=before)
            check_killed(run, every=20, salt=str(sequence), quiet=True)
        except BaseException:
            print(f"WRONG: {start}: {', '.join(sequence)}")
            raise
        run.db.close()
    print(f"{start}, {first} ...: {count:,} states checked")
    assert count > 100


def test_the_small_database_is_what_it_says():
    db = begin("small").db
    assert dict(db.items()) == SMALL_MODEL and db._sequence == SMALL_SEQUENCE
    assert any(name.endswith(".log") for name in SMALL_FILES)
    assert sum(name.endswith(".table") for name in SMALL_FILES) == 2
    assert isinstance(_core.SimulatedDirectory(SMALL_FILES), _core.Directory)
    db.close()
