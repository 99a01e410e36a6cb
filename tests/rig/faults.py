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
from fault_engine import ROOM, told
from rig.subjects import SUBJECTS

ROW, ENGINES, ROUNDS = "R6, R7, R8", tuple(SUBJECTS), 1
HELP = "a round: one workload, all of its operations failed in the four ways, each sync, and 100 sizes of the disk"
SYNCS = {"lsm": (("sync", ".log"), ("sync", ".table"), ("sync", "MANIFEST"), ("sync", "CURRENT"), ("sync_directory", "")),
         "hashlog": test_hashlog_faults.SYNCS}
SIZES = 100
SHARE = {"lsm": 1, "hashlog": 1, "pylsm": 5}        # one operation in so many


def play(engine, seed, number, tally):
    begin, rng = SUBJECTS[engine].faulty, random.Random(f"faults {engine} {seed} {number}")
    doing = test_hashlog_faults.workload if engine == "hashlog" else fault_engine.workload
    seed, mapped = f"faults {seed} {number}", number % 2 == 0
    steps, kinds = steps_of(partial(begin, mapped=mapped), doing, seed)
    try_plan = partial(play_plan, seed, partial(begin, mapped=mapped), doing)
    plans = [({"error": error, "after": at, "sticky": sticky}, f"{errno.errorcode[error]} {'for ever' if sticky else 'once'}")
             for error in (errno.EIO, errno.ENOSPC) for sticky in (False, True) for at in range(steps + 2)]
    plans += [({"error": errno.EIO, "after": at, "sticky": sticky, "kind": kind, "part": part}, f"failed {kind} {part}")
              for kind, part in SYNCS.get(engine, SYNCS["lsm"]) for sticky in (False, True) for at in range(kinds[kind])]
    for plan, what in plans:
        if rng.randrange(SHARE[engine]) == 0:
            with tally.watching(what, str(plan)):
                tally.count("states checked afterwards", try_plan(plan))
            tally.count(f"operations: {what}")
    for size in range(SIZES // SHARE[engine]):
        with tally.watching("full disk", f"[size {size} of {SIZES}]"):
            fill(begin, doing, seed, size * SHARE[engine] / SIZES)
        tally.count("sizes of a full disk")


def steps_of(begin, doing, seed):
    """How many operations the workload takes on a disk that never fails: (all, {kind: number})."""
    run = begin()
    doing(run, random.Random(seed))
    assert not run.errors
    steps = run.directory.steps, run.directory.steps_of()
    run.db.close()
    return steps


def play_plan(seed, begin, doing, plan):
    """The workload on a disk that fails so, and all that must hold afterwards; how many states were looked at."""
    run = None
    try:
        run = begin(plan=plan)
        doing(run, random.Random(seed))
        run.read()
        count = run.check_afterwards(8, str(plan))
        if plan["error"] in ROOM and not any(o.result for o in run.journal if "sync" in o.kind) and run.db is not None:
            assert run.db._failure is None, "lack of room passes"
        run.check_goes_on()
        return count
    except BaseException:
        if run is not None:
            print("WRONG:", told(plan, run))
        raise


def fill(begin, doing, seed, share):
    """The disk holds but a share of what the workload needs, then there is room: nobody reopens anything."""
    clean = begin()
    doing(clean, random.Random(seed))
    most = clean.directory.used + (1 << 19)
    clean.db.close()
    run = begin()
    run.directory.capacity = int(most * share)
    doing(run, random.Random(seed))
    assert all(error.errno == errno.ENOSPC for error in run.errors), run.errors
    run.read()
    run.check_afterwards(every=8)
    run.directory.capacity = 1 << 40
    if run.db is not None:
        for number in range(12):
            before = len(run.errors)
            run.write({b"room": b"%d" % number * 400}, sync=number % 2 == 0)
            assert len(run.errors) == before, run.errors[-1]
    run.check_goes_on()
