"""R4: crashes while a crash is being recovered from, and a third one in the recovery from that.

A recovery that was cut short and is begun again must find the very same: what was on disk when it began is durable.
"""
import itertools
import random

from crash import states
from lsm import _core
from rig.power import both
from rig.subjects import SUBJECTS, story
from rig.tally import ending

ROW, ENGINES, ROUNDS = "R4", tuple(SUBJECTS), 2
HELP = "a round: 12 crash states of a story, 60 states of the recovery from each, 2 of the recovery from those"
FIRST, SECOND, THIRD = 12, 60, 2


def play(engine, seed, number, tally):
    rng = random.Random(f"recovery {engine} {seed} {number}")
    run = SUBJECTS[engine].begin(rng)
    story(run, rng, rng.randrange(15, 41))
    journal = run.journal
    for state in chosen(itertools.chain(states(journal, "weak"), states(journal, "ext4")), FIRST, rng):
        with tally.watching("first crash", f"[before operation {state.point}, {state.description}, {state.bounds}]"):
            p = run.check(state, again=False)
            tally.count("crashes")
            again(run, state.files, p, rng, tally, f"[before operation {state.point}, {state.description}]")


def again(run, files, p, rng, tally, context, depth=2):
    for model, second in chosen(both(recovered(run, files)), SECOND if depth == 2 else THIRD, rng):
        how = f"{context} then [{model} model, before operation {second.point}, {second.description}]"
        with tally.watching("crash in recovery", how), ending(tally):
            assert run.check_files(second.files, (p, p), again=False) == p
        tally.count("crashes in recovery" if depth == 2 else "crashes in the recovery from a crash in recovery")
        if depth == 2 and rng.random() < 0.2:
            again(run, second.files, p, rng, tally, how, depth=3)


def recovered(run, files):
    """The journal of an opening of these files."""
    directory = _core.SimulatedDirectory(files, mapped=run.mapped)
    db = run.open_on(directory, run.options)
    journal = directory.journal()
    db.close()
    return journal


def chosen(found, most, rng):
    """Up to `most` of them, by chance."""
    found = list(found)
    return rng.sample(found, most) if len(found) > most else found
