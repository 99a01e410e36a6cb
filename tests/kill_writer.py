"""The child of test_kill: forks a writer on request, which writes numbered batches until it is killed.

The nursery imports the engine once and never opens a database itself, so that each writer starts by a fork of a few
milliseconds. It reads one request a line ({"path", "seed", "options"}) and answers on stdout: "pid N", then from the
writer "ready P" (what it recovered) and one line "N" for each acknowledged batch, then "end STATUS" when it is gone.
"""

import json
import os
import random
import sys

COUNTER = b"\x00batch"


def operations(seed, number):
    """The writes of batch `number`: [(key, value or None), ...], values unique, the counter among them."""
    rng = random.Random(f"{seed}:{number}")
    chosen = []
    for index in range(rng.choice((0, 1, 3, 3, 10))):
        key = b"key:%03d" % rng.randrange(300)
        if rng.random() < 0.25:
            chosen.append((key, None))
        else:
            chosen.append((key, b"%d.%d:" % (number, index) + rng.randbytes(rng.choice((0, 10, 100, 400)))))
    chosen.insert(rng.randrange(len(chosen) + 1), (COUNTER, b"%d" % number))
    return chosen


def write_until_killed(path, seed, options):
    import lsm

    db = lsm.open(path, **options)
    number = int(db.get(COUNTER, b"0"))
    os.write(1, b"ready %d\n" % number)
    while True:
        number += 1
        batch = operations(seed, number)
        if len(batch) == 1:
            db.put(*batch[0], sync=number % 50 == 0)
        else:
            with db.write_batch(sync=number % 50 == 0) as writes:
                for key, value in batch:
                    writes.delete(key) if value is None else writes.put(key, value)
        os.write(1, b"%d\n" % number)
        if number % 997 == 0:
            db.flush()
        if number % 1999 == 0:
            db.compact()


def nursery():
    import lsm  # noqa: F401  imported here once, so that a writer need not

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                os.write(1, b"pid %d\n" % os.getpid())     # by the child: before all else that it says
                write_until_killed(**request)
            except BaseException:
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(3)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"end %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    nursery()
