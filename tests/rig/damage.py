"""R9, R10, R11: every bit of every file of a small database flipped, every file cut at every length, emptied, zeroed, removed,
exchanged for another: closed, and left by a process that died, with one log and with two.

Each damage is asked for twice, read-only and by an opening that recovers, by every way of reading. What may be found is known to
the byte: the whole; or CorruptionError with a place; or, if what was changed is the last record of its log and no record
that is left says that it had been synced, all but that, as if it had been torn. Slices are asked for in children, which
tell each outcome: a death and a hang are outcomes too.
"""
import errno
import json
import logging
import os
import random
import select
import signal
import time
from itertools import islice
from typing import NamedTuple

import lsm
import lsm.opening
from crash_engine import SMALL, random_changes
from damage import Witness
from lsm import _core
from rig.subjects import SUBJECTS

ROW, ENGINES, EXHAUSTIVE = "R9, R10, R11", tuple(SUBJECTS), True
HELP = "a round: one of four databases: closed; with a live log; with two; the prepared tail of a log. All there is"
HANG = 30               # seconds
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


class Damage(NamedTuple):
    kind: str
    name: str
    place: int
    files: dict
    allowed: list


# ------------------------------------------------------------------------------------------------------ what is damaged

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
    scene = live(engine, rng, mapped=True)
    return scene


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
ROUNDS = len(SCENES)


# -------------------------------------------------------------------------------------------------------- what is done

def damages(scene, tail_alone):
    """All of them, in the same order each time."""
    files = scene.files
    names = [name for name in sorted(files) if files[name]]
    if tail_alone:
        name = max(record.name for record in scene.records)
        yield from flips(scene, name, max(record.end for record in scene.records), len(files[name]))
        return
    for name in names:
        yield from flips(scene, name, 0, len(files[name]))
        for size in range(len(files[name])):
            yield Damage("cut", name, size, {**files, name: files[name][:size]}, scene.allowed(name, size))
        yield Damage("zeroed", name, 0, {**files, name: bytes(len(files[name]))}, scene.allowed(name, 0))
        yield Damage("removed", name, 0, {other: data for other, data in files.items() if other != name}, [scene.whole()])
        for other in names:
            if other != name:
                yield Damage("exchanged", name, 0, {**files, name: files[other]}, [scene.whole()])


def flips(scene, name, start, stop):
    data = scene.files[name]
    for place in range(start, stop):
        allowed = scene.allowed(name, place, place + 1)
        for bit in range(8):
            damaged = data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1:]
            yield Damage("bit flipped", name, place, {**scene.files, name: damaged}, allowed)


# -------------------------------------------------------------------------------------------------- what must be answered

def outcome(engine, damage):
    """Asked both ways: the worse of the two answers. AssertionError when one is wrong."""
    answers = [asked(engine, damage, read_only) for read_only in (True, False)]
    return next(answer for answer in ("told", "dropped as torn", "nothing to notice") if answer in answers)


def asked(engine, damage, read_only):
    subject, directory = SUBJECTS[engine], _core.SimulatedDirectory(damage.files)
    options = {**OPTIONS[engine], "block_cache_bytes": 0}
    witness = Witness(directory.path, damage.allowed)
    try:
        db = subject.run.open_on(directory, {**options, "read_only": True} if read_only else options)
    except lsm.CorruptionError as error:
        witness.accept(error)
        return "told"
    except (lsm.VersionError, lsm.NotADatabaseError) as error:
        assert damage.name in str(error) or damage.kind in ("removed", "exchanged"), error
        return "told"
    witness.ask(db)
    if not read_only and not witness.errors:
        goes_on(subject, directory.reopen(), options, witness.states[0])
    return "told" if witness.errors else "nothing to notice" if damage.allowed[0] in witness.states else "dropped as torn"


def goes_on(subject, directory, options, contents):
    """What was found undamaged stays so: it takes a write, and is the same with it when opened again."""
    for more in ({b"after": b"the damage"}, {}):
        db = subject.run.open_on(directory, options)
        db.write_many(more.items())
        contents = {**contents, **more}
        assert dict(db.items()) == contents, "not the same when opened again"
        db.close()
        directory = directory.reopen()


# ------------------------------------------------------------------------------------------------------- all of a scene

def child(engine, scene, tail_alone, begin, step, out):
    """Asks for every `step`th damage from `begin` on, and tells of each: [its number, outcome, whether it is wrong]."""
    logging.disable(logging.CRITICAL)
    lsm.opening.READ_ONLY_TRIES = 1         # nobody is replacing files
    for number, damage in islice(enumerate(damages(scene, tail_alone)), begin, None, step):
        try:
            told = number, damage.kind, outcome(engine, damage), False
        except BaseException as error:
            told = number, damage.kind, f"{damage.name}, byte {damage.place}: {type(error).__name__}: {error}", True
        out.write(json.dumps(told) + "\n")
        out.flush()


def started(engine, scene, tail_alone, begin, step):
    into, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with open(out, "w") as stream:
                child(engine, scene, tail_alone, begin, step, stream)
        finally:
            os._exit(0)
    os.close(out)
    return pid, into


def lines(pid, into):
    """What a child tells; then how it ended: ("ended", status) or ("hangs", signal)."""
    rest = b""
    while True:
        if not select.select([into], [], [], HANG)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            yield "hangs", 0
            return
        more = os.read(into, 1 << 16)
        if not more:
            break
        *whole, rest = (rest + more).split(b"\n")
        for line in whole:
            yield json.loads(line)
    status = os.waitpid(pid, 0)[1]
    yield "ended", status


def play(engine, seed, number, tally, step=1):
    tell = SCENES[number]
    scene = tell(engine, random.Random(f"damage {engine} {seed}"))
    tail_alone, at = tell is prepared, 0
    tally.note(f"bytes, {tell.__name__.replace('_', ' ')}", {name: len(data) for name, data in scene.files.items() if data})
    begun = time.monotonic()
    while at is not None:
        pid, into = started(engine, scene, tail_alone, at, step)
        ended = None
        for line in lines(pid, into):
            if len(line) == 2:
                ended = line
                break
            which, kind, told, wrong = line
            at = which + step
            if wrong:
                tally.violation(f"{tell.__name__}: {kind}", f"[damage {which}] {told}")
            else:
                tally.count(f"{tell.__name__.replace('_', ' ')}, {kind}: {told}")
            tally.count("damages")
        os.close(into)
        if ended == ("ended", 0):
            at = None
        else:
            tally.violation(f"{tell.__name__}: {ended[0]}", f"[damage {at}] {ended}")
            tally.count("damages")
            at += step
    tally.note(f"a second, {tell.__name__.replace('_', ' ')}", round(tally.counts["damages"] / (time.monotonic() - begun + 1e-9)))
