"""R12: memory runs out: each allocation of a workload is refused, the compiled core's once and for ever, Python's once and thirty.

A call then answers or raises MemoryError (or an error of lsm's); a write that raised is there whole or not at all; when there is
memory again the database goes on, what it holds is right, and it is the same when opened again. The core's allocations are told by
the address that asks (a preloaded library); Python's are refused by CPython's own hook, within one call at a time, thirty in a row
instead of for ever: who unwinds a frame asks for a few bytes, and CPython asks again until it gets them.
"""
import ctypes
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lsm
from crash_engine import GONE, SMALL, put_all, random_changes
from damage import walk
from lsm.engines.hashlog.database import HashLog
from lsm.engines.pylsm import PyDB
from rig.damage import lines
from rig.recorder import compiled
from rig.tally import ROOT

ROW, ENGINES, EXHAUSTIVE, ROUNDS = "R12", ("lsm", "pylsm", "hashlog"), True, 5
HELP = ("a round: every allocation of the core refused, once, or for ever; the first 120 of Python in each call, once, or 30 in a "
        "row; and 30 of each beside the background thread")
WAYS = (("core", "once"), ("core", "for ever"), ("Python", "once"), ("Python", "30 in a row"),
        ("Python", "30 in a row, with its thread"))
OPENED = {"lsm": (lsm.DB, SMALL), "pylsm": (PyDB, SMALL), "hashlog": (HashLog, {"file_bytes": 4096, "block_cache_bytes": 1 << 16})}
FINE = (MemoryError, lsm.Error)
MOST, FEW = 120, 30     # of Python's allocations in a call; and beside the thread


class Sufferer:
    """One database, and what it must hold."""

    def __init__(self, engine, path, background=False):
        self.background = background
        self.engine, self.path, self.db, self.model, self.refused, self.last = engine, str(path), None, {}, 0, None
        self.possible = ({},)               # what may be there: more than one while nobody knows whether a write was made

    def attempt(self, call):
        try:
            return call()
        except (*FINE, RuntimeError, SystemError) as error:
            if not isinstance(error, FINE) and not of_cpython(error):
                raise
            self.refused += 1
            self.last = repr(error)
            return None

    def open(self):
        kind, options = OPENED[self.engine]
        self.db = self.attempt(lambda: kind(self.path, _background=self.background, **options))

    def write(self, changes, sync=False):
        if self.db is None:
            return
        after = {key: value for key, value in {**self.model, **changes}.items() if value is not GONE}
        before, refused, was = self.db._sequence, self.refused, self.model
        self.possible = (was, after)
        self.attempt(lambda: put_all(self.db, changes, sync))
        if self.db._sequence == before:
            assert self.refused > refused, "a write that nobody refused is not there"
            self.possible = (was,)
            return
        assert self.db._sequence == before + len(changes), "a batch is there in part"
        self.model = after
        self.possible = (after,)

    def read(self, how):
        if self.db is not None:
            found = self.attempt(lambda: how(self.db))
            assert found is None or found == self.model, f"a wrong answer: {len(found)} of {len(self.model)} rows"

    def do(self, call):
        if self.db is not None:
            self.attempt(lambda: call(self.db))

    def reopen(self):
        if self.db is not None:
            refused = -1
            while self.refused != refused:      # what could not be done is done when it is asked for again
                refused = self.refused
                self.attempt(self.db.close)
            assert self.db.closed
            self.open()

    def afterwards(self):
        """There is memory again."""
        if self.db is None:
            gc.collect()                # what failed to be opened, and had no memory to let go
            self.open()
        assert self.db is not None, f"it cannot be opened: {self.last}"
        for way in READS:
            assert way(self.db) == self.model, "wrong when there is memory again"
        if self.db._failure is None:
            self.write({b"there is": b"memory again"}, sync=True)
            self.db.flush()
        before = self.refused
        self.db.close()
        self.open()
        assert self.refused == before and dict(self.db.items()) == self.model and self.db.verify().ok, "not the same when opened again"
        self.db.close()


def of_cpython(error):
    """Is this how CPython itself says that it had no memory: for a lock; or where it lost the error? That it does with a few lines of
    plain Python (an iterator of a class over a generator; 3.11, 3.12, 3.13), so it is forgiven in the plain iterators alone."""
    at = innermost(error)
    lost = str(error).endswith(("without setting an exception", "without exception set"))
    return str(error) == "can't allocate lock" or lost and Path(at.f_code.co_filename).parent.name in ("contract", "rig")


def innermost(error):
    at = error.__traceback__
    while at.tb_next is not None:
        at = at.tb_next
    return at.tb_frame


def several(db):
    keys = [key for key, _ in db.scan()]
    return dict(zip(keys, db.multi_get(keys), strict=True))


def by_snapshot(db):
    with db.snapshot() as snapshot:
        return {key: snapshot.get(key) for key in [*snapshot.scan(values=False)]}


READS = (lambda db: dict(db.scan()), lambda db: dict(db.scan(reverse=True)), several, by_snapshot, lambda db: dict(walk(db)))


def steps(run, seed):
    """The workload, call by call."""
    rng = random.Random(seed)
    yield run.open
    for number in range(1, 25):
        changes = random_changes(rng, number, keys=12, value_bytes=500)
        yield lambda changes=changes, number=number: run.write(changes, sync=number % 6 == 0)
        if number == 10:
            yield lambda: run.do(lambda db: db.flush())
        if number in (12, 22):
            for way in READS:
                yield lambda way=way: run.read(way)
        if number == 16:
            yield run.reopen
        if number == 20:
            yield lambda: run.do(lambda db: db.compact())
            yield lambda: run.do(lambda db: db.verify())
    yield run.reopen


# --------------------------------------------------------------------------------------------- in a process of its own

def core_trials(engine, place, seed, how, begin):
    """Every allocation of the core: (its number, wrong or '')."""
    preloaded = ctypes.CDLL(None)
    ends = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if "_core." in line and line.endswith(".so")]
    preloaded.memory_watch.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    preloaded.memory_fail.argtypes = [ctypes.c_long, ctypes.c_int]
    preloaded.memory_watch(int(ends[0].split("-")[0], 16), int(ends[-1].split("-")[1], 16))
    number, failed = begin, 1
    while failed:
        run = Sufferer(engine, fresh(place))
        wrong = ""
        try:
            preloaded.memory_fail(number, how == "for ever")
            for step in steps(run, seed):
                step()
            failed = preloaded.memory_failed()
            preloaded.memory_fail(-1, 0)
            run.afterwards()
        except Exception as error:
            preloaded.memory_fail(-1, 0)
            wrong = told(error)
        yield number, wrong
        number += 1


def python_trials(engine, place, seed, how, begin):
    """Python's allocations within each call, as many of each as are allowed."""
    number, background = -1, how.endswith("thread")
    for which in range(sum(1 for _ in steps(Sufferer(engine, place), seed))):
        for at in range(FEW if background else MOST):
            number += 1
            if number < begin:
                continue
            run, wrong = Sufferer(engine, fresh(place), background), ""
            try:
                for i, step in enumerate(steps(run, seed)):
                    if i == which:
                        refuse_within(step, run, at, 30 if how.startswith("30") else 1)
                    else:
                        step()
                run.afterwards()
            except Exception as error:
                wrong = told(error)
            yield number, wrong


def refuse_within(step, run, at, many):
    """Afterwards the contents must be what they were, or what the step made of them."""
    import _testcapi
    run.possible = (run.model,)
    _testcapi.set_nomemory(at, at + many)
    try:
        step()
    except MemoryError:
        pass                                # of what asks: it has allocations of its own
    finally:
        _testcapi.remove_mem_hooks()
    if run.db is not None and run.db.closed:
        run.db.close()                      # what it had no memory for
        run.open()
    if run.db is not None:
        found = dict(run.db.items())
        assert found in run.possible, f"neither as before nor as after: {len(found)} rows"
        run.model = found


def fresh(place):
    path = Path(place) / "db"
    shutil.rmtree(path, ignore_errors=True)
    return path


def told(error):
    at = innermost(error)
    return f"{type(error).__name__}: {error} ({at.f_code.co_name}, {Path(at.f_code.co_filename).name}:{at.f_lineno})"


def main(engine, place, seed, way, begin):
    import logging
    import warnings
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    of, how = WAYS[int(way)]
    for number, wrong in (core_trials if of == "core" else python_trials)(engine, place, seed, how, int(begin)):
        print(json.dumps([number, wrong, ""]), flush=True)


# ---------------------------------------------------------------------------------------------------------- all of them

def play(engine, seed, number, tally):
    of, how = WAYS[number]
    if (engine, of) == ("pylsm", "core"):
        return
    what = f"allocations of {'the core' if of == 'core' else of} refused {how}"
    with tempfile.TemporaryDirectory(prefix="lsm-rig-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        environment = {**os.environ, "LD_PRELOAD": str(compiled(Path(__file__).with_name("memory.c"), place)),
                       "PYTHONPATH": os.pathsep.join([str(Path(lsm.__file__).parent.parent), str(ROOT / "tests")])}
        begin = 0
        while begin is not None:
            child = subprocess.Popen([sys.executable, "-m", "rig.memory", engine, place, f"memory {seed}", str(number), str(begin)],
                                     env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            ended = None
            for line in lines(child.pid, child.stdout.fileno()):
                if len(line) == 2:
                    ended = line
                    break
                begin = line[0] + 1
                tally.count(what)
                if line[1]:
                    tally.violation(what, f"[allocation {line[0]}] {line[1]}")
            child.stdout.close()
            child.returncode = 0            # it was waited for
            if ended == ("ended", 0):
                begin = None
            else:
                tally.violation(what, f"[allocation {begin}] {ended}")
                begin += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
