"""R9, R10, R11: every bit of every file of a small database flipped, every file cut at every length, emptied, zeroed, removed,
exchanged for another: closed, and left by a process that died, with one log and with two.

A flipped bit of anything but the last record of a log, and what was prepared behind it, must be told of, and so must be whatever is
done to another file. Each damage is asked for twice, read-only and by an opening that recovers, by every way of reading. What may
be found is known to the byte: the whole; or CorruptionError with a place; or, if what was changed is the last record of its log and
no record that is left says that it had been synced, all but that, as if it had been torn. A child asks, and tells each outcome: a
death and a hang are outcomes too.
"""
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
from damage import Witness
from lsm import _core
from rig.scenes import OPTIONS, SCENES, prepared
from rig.subjects import SUBJECTS

ROW, ENGINES, EXHAUSTIVE = "R9, R10, R11", tuple(SUBJECTS), True
HELP = "a round: one of four databases: closed; with a live log; with two; the prepared tail of a log. All there is"
ROUNDS = len(SCENES)
HANG = 30               # seconds


class Damage(NamedTuple):
    kind: str
    name: str
    place: int
    files: dict
    allowed: list
    sure: bool          # to be told of


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
            yield Damage("cut", name, size, {**files, name: files[name][:size]}, scene.allowed(name, size),
                         scene.covered(name, 1 << 40))
        yield Damage("zeroed", name, 0, {**files, name: bytes(len(files[name]))}, scene.allowed(name, 0), scene.covered(name, 1 << 40))
        yield Damage("removed", name, 0, {other: data for other, data in files.items() if other != name}, [scene.whole()],
                     True)
        for other in names:
            if other != name:
                yield Damage("exchanged", name, 0, {**files, name: files[other]}, [scene.whole()], True)


def flips(scene, name, start, stop):
    data = scene.files[name]
    for place in range(start, stop):
        allowed = scene.allowed(name, place, place + 1)
        for bit in range(8):
            damaged = data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1:]
            yield Damage("bit flipped", name, place, {**scene.files, name: damaged}, allowed, scene.covered(name, place))


# -------------------------------------------------------------------------------------------------- what must be answered

def outcome(engine, damage):
    """Asked both ways: the worse of the two answers. AssertionError when one is wrong."""
    answers = [asked(engine, damage, read_only) for read_only in (True, False)]
    worst = next(answer for answer in ("told", "dropped as torn", "nothing to notice") if answer in answers)
    assert worst == "told" or not damage.sure, "nobody noticed"
    return worst


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
