"""R6, R7, R8: each operation of a workload fails, with EIO and with ENOSPC, once and for ever; each sync by what is synced; and
the disk is full at every size, until there is room again.

The rules are fault_engine.py's: typed errors alone; a write that raised is there whole or not at all; after a failed sync
read-only with the cause; after lack of room writable again without reopening; what was promised survives.
"""
import errno
import random
from functools import partial

import fault_engine
import test_hashlog_faults
from fault_engine import check_no_room, measured
from rig.subjects import SUBJECTS
from rig.tally import ending

ROW, ENGINES, ROUNDS = "R6, R7, R8", tuple(SUBJECTS), 1
HELP = "a round: one workload, all of its operations failed in the four ways, each sync, and 100 sizes of the disk"
SYNCS = {"lsm": (("sync", ".log"), ("sync", ".table"), ("sync", "MANIFEST"), ("sync", "CURRENT"), ("sync_directory", "")),
         "hashlog": test_hashlog_faults.SYNCS}
SIZES = 100
BEYOND = 1 << 19            # bytes of disk that the workload does not need
SHARE = {"lsm": 1, "hashlog": 1, "pylsm": 5}        # one operation in so many


def play(engine, seed, number, tally):
    begin, rng = SUBJECTS[engine].faulty, random.Random(f"faults {engine} {seed} {number}")
    doing = test_hashlog_faults.workload if engine == "hashlog" else fault_engine.workload
    seed, mapped = f"faults {seed} {number}", number % 2 == 0
    make = partial(begin, mapped=mapped)
    steps, kinds, room = measured(make, doing, seed, lambda run: (run.directory.steps, run.directory.steps_of(), run.directory.used))
    plans = [({"error": errno.EIO, "after": at, "sticky": sticky, "kind": kind, "part": part}, f"failed {kind} {part}")
             for kind, part in SYNCS.get(engine, SYNCS["lsm"]) for sticky in (False, True) for at in range(kinds[kind])]
    plans += [({"error": error, "after": at, "sticky": sticky}, f"{errno.errorcode[error]} {'for ever' if sticky else 'once'}")
              for error in (errno.EIO, errno.ENOSPC) for sticky in (False, True) for at in range(steps + 2)]
    for plan, what in plans:
        if rng.randrange(SHARE[engine]) == 0:
            with tally.watching(what, str(plan)), ending(tally):
                tally.count("states checked afterwards", fault_engine.play(make, doing, seed, plan, every=8))
            tally.count(f"operations: {what}")
    for size in range(0, SIZES, SHARE[engine]):
        with tally.watching("full disk", f"[size {size} of {SIZES}]"), ending(tally):
            check_no_room(begin, doing, seed, (room + BEYOND) * size // SIZES)
        tally.count("sizes of a full disk")
