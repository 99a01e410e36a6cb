"""R7: real failures of fsync: a file system whose device lacks the room it promised, so that writes succeed and their sync fails.

What such a sync was for is marked clean all the same: the next one succeeds, the page cache shows it, the disk has zeros. So after
the first failure nothing may be acknowledged any more, though there is room again; and when it is mounted anew, what had been
acknowledged is there.
"""
import contextlib
import os
import random
import select
import signal
import tempfile
from pathlib import Path

import lsm
from crash import check_recovered
from crash_engine import GONE, put_all
from rig.cuts import OPTIONS, changes
from rig.volume import ThinVolume, base

ROW, ENGINES, ROUNDS = "R7", ("lsm", "pylsm", "hashlog"), 2
HELP = "a round: 20 databases whose device fills up, on ext4 (even rounds) or XFS; skipped where nothing can be mounted"
DATABASES, HANG, AGAIN, MOST = 20, 60, 5, 1000
ENDED = ("a sync failed: read-only for good", "refused for lack of room, then written to again", "nothing was refused")
ENDS = (b"\nd ", b"\nx ")


def writer(path, engine, options, story, out, go_on):
    """In a child: synced writes until one fails; then, when it is told to, some more."""
    try:
        db = lsm.open(path, engine=engine, **options)
    except lsm.StorageError:
        return os.write(out, b"f 0\nd 0\n")
    for number in range(1, MOST):
        if not told(db, story, number, number % 3 != 0, out, b"s" if number % 3 else b"a"):
            break
        if number % 40 == 0:
            with contextlib.suppress(lsm.Error):
                db.flush()
    else:
        return os.write(out, b"f 2\nd 0\n")
    passes = db._failure is None            # refused for lack of room, before anything was in doubt: writing may go on
    os.write(out, b"f %d\n" % passes)
    os.read(go_on, 1)
    for more in range(number + 1, number + 1 + AGAIN):
        told(db, story, more, True, out, b"s" if passes else b"w")
    os.write(out, b"d 0\n")


def told(db, story, number, sync, out, acknowledged):
    """One write: begun, then acknowledged as this, or refused as if it had never been. Was it acknowledged?"""
    os.write(out, b"b %d\n" % number)
    before = db._sequence
    try:
        put_all(db, changes(story, number), sync)
    except (lsm.StorageError, lsm.ReadOnlyError):
        if db._sequence == before:
            os.write(out, b"r %d\n" % number)
        return False
    os.write(out, b"%s %d\n" % (acknowledged, number))
    return True


def started(*arguments):
    (into, out), (go_on, go) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            writer(*arguments, out, go_on)
        except BaseException as error:
            os.write(out, b"x %s\n" % repr(error).replace("\n", " ").encode())
        finally:
            os._exit(0)
    os.close(out)
    os.close(go_on)
    return pid, into, go


def heard(into, said, *ends):
    """What the child says, until one of these is in it."""
    while not any(end in said for end in ends) and select.select([into], [], [], HANG)[0]:
        more = os.read(into, 1 << 16)
        if not more:
            break
        said += more
    return said


def play(engine, seed, number, tally):
    rng = random.Random(f"thin {engine} {seed} {number}")
    kind = ("ext4", "xfs")[number % 2]
    for which in range(DATABASES):
        options = OPTIONS[engine][rng.choice(sorted(OPTIONS[engine]))]
        with tempfile.TemporaryDirectory(prefix="lsm-rig-", dir=base()) as place, ThinVolume(kind, place) as volume:
            one(engine, options, f"thin {engine} {seed} {number} {which}", volume, rng, tally)


def one(engine, options, story, volume, rng, tally):
    path = Path(volume.path) / "db"
    lsm.open(path, engine=engine, **options).close()
    os.sync()
    volume.leave_room(rng.randrange(1 << 12, 1 << {"ext4": 19, "xfs": 17}[volume.kind]))
    pid, into, go = started(path, engine, options, story)
    said = heard(into, b"", b"\nf ", *ENDS)
    volume.make_room()
    with contextlib.suppress(BrokenPipeError):
        os.write(go, b"!")
    said = heard(into, said, *ENDS)
    volume.cut()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(into)
    os.close(go)
    volume.mount_again()
    lines = [line.split(b" ", 1) for line in said.splitlines()]
    told = {kind: [int(number) if kind != b"x" else number for of, number in lines if of == kind]
            for kind in (b"b", b"s", b"w", b"r", b"x", b"f", b"d")}
    history = [{}]
    for number in told[b"b"]:
        after = {**history[-1], **({} if number in told[b"r"] else changes(story, number))}
        history.append({key: value for key, value in after.items() if value is not GONE})
    with tally.watching("failed sync", f"[{volume.kind}, {options}, {story}]"):
        assert not told[b"x"], told[b"x"]
        assert told[b"f"] and told[b"d"], "it hangs"
        assert not told[b"w"], f"acknowledged after a failed sync: {told[b'w']}"
        least = max(told[b"s"], default=0)
        with lsm.open(path, engine=engine, **options) as db:
            check_recovered(history, least, len(history) - 1, dict(db.scan()))
            assert db.verify().ok
        tally.count(f"{volume.kind}, {ENDED[told[b'f'][0]]}")
        tally.count("acknowledged batches found again", least)
