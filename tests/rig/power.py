"""R2: the power goes at every operation of a random story, in both models of a disk; all the states that may be left.

In every third story the background thread is at work beside the writes, and threads change often: what was written during a merge
may be lost while the merge is kept. Such a round is not the same each time.
"""
import contextlib
import random
import sys

import crash
from crash_engine import abandon
from rig.subjects import SUBJECTS, story
from rig.tally import ending

ROW, ENGINES, ROUNDS = "R2", tuple(SUBJECTS), 2
HELP = "a round: one story of 20 to 80 batches, every state of it in both models"


def play(engine, seed, number, tally, every=1):
    rng = random.Random(f"power {engine} {seed} {number}")
    with switching_often() if number % 3 == 2 else contextlib.nullcontext():
        run = SUBJECTS[engine].begin(rng, background=number % 3 == 2)
        story(run, rng, rng.randrange(20, 81))
        if rng.random() < 0.8:
            run.close()
        else:
            abandon(run.db)
    journal = run.journal
    tally.count("operations", len(journal))
    try_states(run, both(journal), tally, rng if every > 1 else None, every)


@contextlib.contextmanager
def switching_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def both(journal, **keywords):
    """(model, state) of every state in both models."""
    for model in ("weak", "ext4"):
        for state in crash.states(journal, model, **keywords):
            yield model, state


def try_states(run, found, tally, rng=None, every=1):
    """The oracle on each (or on one in `every`) of these states; counted by what they hold."""
    for model, state in found:
        if rng is not None and rng.randrange(every):
            continue
        with tally.watching("crash state", lambda state=state, model=model: told(state, model)), ending(tally):
            run.check(state)
        tally.distinct("distinct crash states", crash.digest(state.files))
        tally.count(f"states, {model} model")


def told(state, model):
    return f"[{model} model, before operation {state.point}, {state.description}, writes {state.bounds}]"
