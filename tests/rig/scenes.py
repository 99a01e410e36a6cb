"""Small databases to be damaged, and what may be found of each when some of its bytes are not what they were.

A scene knows where in its logs each record lies, and which writes each tells to have been synced: so the answer is known to
the byte. Built on the simulated disk, the same each time.
"""
import errno
from typing import NamedTuple

from crash_engine import SMALL, random_changes
from rig.subjects import SUBJECTS
from rig.tally import Skipped

TREE = {**SMALL, "block_bytes": 128, "table_bytes": 4096}
HASHED = {**SUBJECTS["hashlog"].options["small"]}
OPTIONS = {"lsm": TREE, "pylsm": TREE, "hashlog": HASHED}
SUFFIX = {"lsm": ".log", "pylsm": ".log", "hashlog": ".data"}
REFUSED = {"lsm": ".table", "pylsm": ".table", "hashlog": ".hint"}


class Scene(NamedTuple):
    """A database to damage. `records` are those of its logs, oldest first: (file, where it ends, writes, writes it knows synced)."""
    files: dict
    history: list
    records: list

    def whole(self):
        return self.history[-1]

    def covered(self, name, place):
        """Is this byte covered by a checksum on which something depends that is known to be there?"""
        ends = [record.end for record in self.records if record.name == name]
        return not ends or (place < max(ends) and len(self.allowed(name, place, place + 1)) == 1)

    def allowed(self, name, start, end=None):
        """What may be found when the bytes of `name` from `start` on (to `end`, or all) are not what they were."""
        lost = [record for record in self.records if record.name == name and record.end > start
                and (end is None or record.start < end)]
        if not lost or (end is not None and any(record.name == name and record.start >= end for record in self.records)):
            return [self.whole()]           # no log, nothing in it, or records behind: a hole is damage
        left = [record for record in self.records if record not in lost]
        found = lost[0].number - 1
        return [self.whole()] + ([self.history[found]] if found >= max((record.synced for record in left), default=0) else [])


class Record(NamedTuple):
    name: str
    start: int
    end: int
    number: int         # of the write
    synced: int         # the last write that it tells had been synced


def closed(engine, rng):
    run = SUBJECTS[engine].run(OPTIONS[engine], mapped=False)
    write(run, rng, 12)
    run.flush()
    write(run, rng, 10)
    run.close()
    return Scene(run.directory.crashed_process(), run.history, [])


def live(engine, rng, mapped=False):
    run = SUBJECTS[engine].run(OPTIONS[engine], mapped=mapped)
    write(run, rng, 12)
    run.flush()
    write(run, rng, 8)
    run.write(random_changes(rng, 30, keys=8, value_bytes=60), sync=True)
    run.write({b"last": b"written, not synced"})
    return seen(run, engine)


def prepared(engine, rng):
    """As with a live log, the log with the tail that was prepared for it; of which alone the bits are flipped then."""
    if engine == "pylsm":
        raise Skipped("pylsm prepares no tail of its logs: three databases, not four")
    return live(engine, rng, mapped=True)


def two_logs(engine, rng):
    """Nothing can be flushed for lack of room, so that two logs wait."""
    run = SUBJECTS[engine].faulty(OPTIONS[engine], mapped=False)
    run.directory.fail(errno.ENOSPC, kind="create", part=REFUSED[engine], sticky=True)
    number = 0
    while len(logs(run, engine)) < 2:
        number += 1
        run.write(random_changes(rng, number, keys=8, value_bytes=400), sync=number % 6 == 0)
    for more in range(1, 7):
        run.write(random_changes(rng, number + more, keys=8, value_bytes=60), sync=more == 5)
    assert not run.errors
    return seen(run, engine)


def write(run, rng, count):
    for number in range(1, count + 1):
        run.write(random_changes(rng, run.last + 1, keys=8, value_bytes=60), sync=number % 4 == 0)


def logs(run, engine):
    return [name for name in run.directory.crashed_process() if name.endswith(SUFFIX[engine])]


def seen(run, engine):
    """The scene as the death of the process leaves it."""
    files, records, number, synced = run.directory.crashed_process(), [], 0, 0
    for operation in run.journal:
        if operation.kind == "mark":
            number = operation.offset if operation.name == "started" else number
            synced = operation.offset if operation.name == "synced" else synced
        elif operation.kind == "append" and operation.name.endswith(SUFFIX[engine]) and operation.offset and operation.name in files:
            records.append(Record(operation.name, operation.offset, operation.offset + len(operation.data), number, synced))
    return Scene(files, run.history, records)


SCENES = (closed, live, two_logs, prepared)
