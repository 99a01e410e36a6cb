"""R3: every sequence of up to three steps, from an empty and from a small database; every state of each that a crash may leave.

The states of all but the last step of a sequence are those of a shorter sequence, and checked there.
"""
import random

from rig.power import both, try_states
from rig.subjects import SUBJECTS
from rig.tally import ending
from crash import process_bounds
from crash_engine import process_states
from test_crash_sequences import SEQUENCES, STEPS, small_database

ROW, ENGINES, EXHAUSTIVE = "R3", tuple(SUBJECTS), True
ROUNDS = 2 * len(STEPS)
HELP = "a round: the sequences that begin with one of the steps, from one of the two databases; all there are"
SHARE = {"lsm": 1, "hashlog": 1, "pylsm": 4}        # of sequences of three steps one state in so many


def play(engine, seed, number, tally):
    start, first = ("empty", "small")[number % 2], list(STEPS)[number // 2]
    begin = SUBJECTS[engine].run
    small = small_database(begin)
    for sequence in SEQUENCES:
        if sequence[0] != first:
            continue
        run = begin() if start == "empty" else begin(files=small[0], model=small[1], sequence=small[2])
        for step in sequence[:-1]:
            STEPS[step](run)
        before = len(run.journal) if len(sequence) > 1 else 0
        STEPS[sequence[-1]](run)
        run.read_all()
        tally.count("sequences")
        every = SHARE[engine] if len(sequence) == 3 else 1
        try_states(run, both(run.journal, start=before), tally, random.Random(str(sequence)), every)
        for point, files in process_states(run.journal):
            if point > before:
                with tally.watching("killed", f"[{start}: {sequence}, before operation {point}]"), ending(tally):
                    run.check_files(files, process_bounds(run.journal[:point]))
                tally.count("killed at operations")
        run.db.close()
