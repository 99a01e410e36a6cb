"""Who is tried on the simulated disk: the compiled core, the plain one behind the same tree, and hashlog; their option sets, and
a random story that makes each of them do all it does.

Every Run keeps the oracle of crash_engine.py; a story leaves its run open.
"""
from typing import NamedTuple

import crash_engine
import hashlog_engine
from crash_engine import FIFO, SMALL, TIERED, Run, random_changes
from fault_engine import FaultyRun
from plain_directory import SimulatedPyDB


def open_plain(directory, options=SMALL, background=False):
    with crash_engine.same_identity():
        return SimulatedPyDB(directory.path, _directory=directory, _background=background, **options)


class PlainRun(Run):
    open_on = staticmethod(open_plain)


class FaultyPlainRun(FaultyRun):
    open_on = staticmethod(open_plain)


class Subject(NamedTuple):
    name: str
    run: type
    faulty: type
    options: dict               # name -> options

    def begin(self, rng, **keywords):
        """A run under an option set by chance, its logs prepared ahead or written by calls."""
        options = self.options[rng.choice(sorted(self.options))]
        return self.run(options, mapped=rng.random() < 0.7, **keywords)


TREE = {"leveled": SMALL, "tiered": TIERED, "fifo": FIFO,
        "no filter": {**SMALL, "bloom_bits_per_key": 0}, "uncompressed": {**SMALL, "compression": "none"},
        "one restart": {**SMALL, "restart_interval": 1000}, "no cache": {**SMALL, "block_cache_bytes": 0},
        "one table": {**SMALL, "table_bytes": 1 << 20}, "large memtable": {**SMALL, "memtable_bytes": 32768}}
HASHED = {"small": hashlog_engine.SMALL, "eager merges": {**hashlog_engine.SMALL, "merge_dead_ratio": 0.1},
          "larger files": {**hashlog_engine.SMALL, "file_bytes": 16384}}

SUBJECTS = {subject.name: subject for subject in (
    Subject("lsm", Run, FaultyRun, TREE),
    Subject("pylsm", PlainRun, FaultyPlainRun, TREE),
    Subject("hashlog", hashlog_engine.HashRun, hashlog_engine.FaultyHashRun, HASHED))}


def story(run, rng, batches, reopening=True):
    """Writes with a share of them synced, and now and then all else there is: sync, flush, compact, snapshots, new processes."""
    synced, held = rng.choice((0.0, 0.05, 0.15, 0.5, 1.0)), []
    keys, size = rng.choice((3, 12, 40)), rng.choice((100, 600, 1500))
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number, keys=keys, value_bytes=size), sync=rng.random() < synced)
        happens = rng.random()
        if happens < 0.03:
            run.sync()
        elif happens < 0.07:
            run.flush()
        elif happens < 0.10:
            run.compact()
        elif happens < 0.14:
            held.append((run.db.snapshot(), run.history[-1]))
        elif happens < 0.17 and held:
            snapshot, expected = held.pop(rng.randrange(len(held)))
            assert dict(snapshot.scan()) == expected
            snapshot.close()
        elif happens < 0.20 and reopening:
            held.clear()
            run.reopen() if rng.random() < 0.5 else run.kill()
    run.read_all()
    return run
