"""R5: real power cuts, on ext4 and XFS of their own: writers in a process, the file system shut down under them, mounted again.

A writer tells each batch when it has begun it, and when it was acknowledged, and synced; which is told outside of the file system.
What is found holds history[p] for a p from the last synced one to the last begun; the next writer goes on from there. A database
lives for ten cuts, under an option set by chance.

Synced is what was heard of before the cut. A process outlives this power cut, and ext4 answers 0 to an fdatasync that it overtakes:
so it did, of a bare write and fdatasync of 500 bytes, in 116 of 600 cuts; nothing that was heard of before was ever lost.
"""
import os
import random
import select
import signal
import tempfile
import time
from pathlib import Path

import lsm
from crash import check_recovered
from crash_engine import GONE, put_all, random_changes
from rig.subjects import HASHED, TREE
from rig.volume import Volume, base

ROW, ENGINES, ROUNDS = "R5", ("lsm", "pylsm", "hashlog"), 2
HELP = "a round: ten databases of ten power cuts each, on ext4 (even rounds) or XFS; skipped where nothing can be mounted"
DATABASES, CUTS, HANG = 10, 10, 60
OPTIONS = {"lsm": TREE, "pylsm": TREE, "hashlog": HASHED}


def writer(path, engine, options, story, begin, out):
    """In a child: batches from `begin` on, until it fails or dies."""
    db = lsm.open(path, engine=engine, **options)
    os.write(out, b"o %d\n" % begin)
    rng, number = random.Random(f"{story} {begin}"), begin
    synced = rng.choice((0.05, 0.3, 1.0))
    while True:
        number += 1
        os.write(out, b"b %d\n" % number)
        sync = rng.random() < synced
        put_all(db, changes(story, number), sync)
        if sync:
            os.write(out, b"s %d\n" % number)
        happens = rng.random()
        if happens < 0.02:
            db.flush()
            os.write(out, b"s %d\n" % number)
        elif happens < 0.03:
            db.compact()
            os.write(out, b"s %d\n" % number)


def changes(story, number):
    return random_changes(random.Random(f"{story} batch {number}"), number)


def started(*arguments):
    into, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(into)
        try:
            writer(*arguments, out)
        except lsm.Error:
            os.write(out, b"e 0\n")         # as it should: the file system is gone
        except BaseException as error:
            os.write(out, b"x %s\n" % repr(error).replace("\n", " ").encode())
        finally:
            os._exit(0)
    os.close(out)
    return pid, into


def cut_one(volume, rng, arguments):
    """A writer, and the power cut at some moment: (last synced, last begun, what was unexpected)."""
    pid, into = started(*arguments)
    begin = arguments[-1]
    said, until = b"", time.monotonic() + HANG
    wanted = rng.choice((0, 1, 3, 20, 80, 200))         # batches, before the cut
    while said.count(b"b ") < wanted and not said.count(b"\ne ") and time.monotonic() < until:
        if select.select([into], [], [], 1)[0]:
            more = os.read(into, 1 << 16)
            if not more:
                break
            said += more
    time.sleep(rng.random() * 0.004)
    while select.select([into], [], [], 0)[0] and (more := os.read(into, 1 << 16)):
        said += more
    heard = len(said)                       # whoever gets an answer has it before the power goes
    volume.cut()
    time.sleep(rng.random() * 0.004)        # some go on for a while against a dead disk
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(into, 1 << 16):
        said += more
    os.close(into)
    lines = [line.split(b" ", 1) for line in said.splitlines()]
    before = [line.split(b" ", 1) for line in said[:heard].splitlines()[:said[:heard].count(b"\n")]]
    synced = max((int(number) for kind, number in before if kind in b"so"), default=begin)
    begun = max((int(number) for kind, number in lines if kind == b"b"), default=begin)
    return synced, max(begun, begin), [number.decode() for kind, number in lines if kind == b"x"]


def play(engine, seed, number, tally):
    rng = random.Random(f"cuts {engine} {seed} {number}")
    kind = ("ext4", "xfs")[number % 2]
    with tempfile.TemporaryDirectory(prefix="lsm-rig-", dir=base()) as place, Volume(kind, place) as volume:
        for which in range(DATABASES):
            name = rng.choice(sorted(OPTIONS[engine]))
            one_database(engine, OPTIONS[engine][name], f"{engine} {seed} {number} {which}", volume, volume.path / f"db{which}",
                         rng, tally)


def one_database(engine, options, story, volume, path, rng, tally):
    lsm.open(path, engine=engine, **options).close()
    held, last = {}, 0                      # the contents after `last` batches
    os.sync()
    for cut in range(CUTS):
        synced, begun, unexpected = cut_one(volume, rng, (Path(path), engine, options, story, last))
        volume.mount_again()
        history = [held]
        for number in range(last + 1, begun + 1):
            after = {**history[-1], **changes(story, number)}
            history.append({key: value for key, value in after.items() if value is not GONE})
        before = tally.wrong
        with tally.watching("power cut", f"[{volume.kind}, {options}, cut {cut}, {last} before, writes {synced}..{begun}]"):
            assert not unexpected, unexpected
            with lsm.open(path, engine=engine, read_only=cut % 2 == 1, **options) as db:
                found = dict(db.scan())
                p = check_recovered(history, synced - last, begun - last, found)
                assert db.verify().ok
                held, last = found, last + p
        if tally.wrong > before:
            return
        tally.count(f"power cuts, {volume.kind}")
        tally.count("batches found again", p)
        tally.count("batches not synced, and lost as they may be", begun - last)
