"""kill -9 of a writing process, at random moments, over hundreds of cycles on one database.

After each kill: what was acknowledged is there, and the contents are exactly those after p whole batches, where p is the
last acknowledged one or the one that was being written. LSM_KILLS raises the number of cycles.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import lsm
import pytest
from engines import OTHERS
from kill_writer import COUNTER, operations
from model import TINY

MARKERS = ["CURRENT", "HASHLOG", "BTREE", "rows.sqlite"]        # what says that there is a database
KILLS = int(os.environ.get("LSM_KILLS", "300"))
WRITER = pathlib.Path(__file__).with_name("kill_writer.py")
OPTION_SETS = {"default": {}, "tiny": TINY, "tiny tiered": {**TINY, "compaction": "tiered"}}
OPTION_SETS |= {name: options for name, options in OTHERS.items() if name != "memory"}


@pytest.fixture
def nursery(tmp_path):
    source = os.path.dirname(os.path.dirname(lsm.__file__))
    with open(tmp_path / "stderr", "w+b") as errors:
        child = subprocess.Popen(
            [sys.executable, WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([source, *sys.path])})
        child.errors = errors
        yield child
        child.stdin.close()
        child.stdout.close()
        child.wait(30)


def one_life(nursery, request, rng):
    """Starts a writer, kills it at a random moment: (batches it recovered or None, last batch acknowledged or None)."""
    nursery.stdin.write(json.dumps(request).encode() + b"\n")
    nursery.stdin.flush()
    said = nursery.stdout.readline().split()
    assert said[0] == b"pid", said
    pid = int(said[1])
    recovered = acknowledged = None
    if rng.random() < 0.3:  # at any moment from the fork on: during recovery too
        time.sleep(rng.random() * 0.01)
    else:  # after so many acknowledged batches, and a little
        for _ in range(rng.choice((1, 2, 5, 20, 100, 300))):
            said = nursery.stdout.readline().split()
            if said[0] == b"end":
                break
            recovered, acknowledged = (int(said[1]), None) if said[0] == b"ready" else (recovered, int(said[0]))
        time.sleep(rng.random() * 0.002)
    if said[0] != b"end":
        os.kill(pid, signal.SIGKILL)
    while said[0] != b"end":
        said = nursery.stdout.readline().split()
        if said[0] == b"ready":
            recovered = int(said[1])
        elif said[0] != b"end":
            acknowledged = int(said[0])
    nursery.errors.seek(0)
    assert int(said[1]) == -signal.SIGKILL, f"the writer died by itself: {nursery.errors.read().decode()}"
    return recovered, acknowledged


def apply(state, seed, number):
    for key, value in operations(seed, number):
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


@pytest.mark.timeout(max(120, KILLS))
@pytest.mark.parametrize("name", OPTION_SETS)
def test_nothing_acknowledged_is_lost_by_a_killed_process(path, nursery, name):
    options, seed = OPTION_SETS[name], f"kill {name}"
    print(f"seed: {seed!r}")
    rng = random.Random(seed)
    state, known = {}, 0  # the contents after `known` batches: the last state checked
    for cycle in range(KILLS // len(OPTION_SETS)):
        recovered, acknowledged = one_life(nursery, {"path": str(path), "seed": seed, "options": options}, rng)
        assert recovered in (None, known), f"cycle {cycle}: {known} batches were there, the next open found {recovered}"
        acknowledged = known if acknowledged is None else acknowledged
        engine = options.get("engine", "lsm")
        if recovered is None and not known and not any((path / name).exists() for name in MARKERS):
            continue  # killed before there was a database
        # Every other time look without touching, so that the next writer recovers from what the kill really left.
        with lsm.open(path, engine=engine, read_only=cycle % 2 == 1) as db:
            found = int(db.get(COUNTER, b"0"))
            assert acknowledged <= found <= acknowledged + 1, f"cycle {cycle}: acknowledged {acknowledged}, found {found}"
            while known < found:
                known += 1
                apply(state, seed, known)
            assert dict(db.scan()) == state, f"cycle {cycle}: not the contents after {found} batches"
            if cycle % 5 == 0:
                assert list(db.scan(reverse=True)) == sorted(state.items(), reverse=True)
                report = db.verify()
                assert report.ok, report.damage
    assert known > KILLS // len(OPTION_SETS), "the writers hardly wrote"


def test_the_files_of_killed_writers_do_not_pile_up(path, nursery):
    rng = random.Random("pile")
    for _ in range(20):
        one_life(nursery, {"path": str(path), "seed": "pile", "options": TINY}, rng)
    with lsm.open(path) as db:
        db.compact()
        tables = db.stats().tables
    names = sorted(file.name for file in path.iterdir())
    assert sum(name.endswith(".table") for name in names) == tables, names
    assert sum(name.startswith("MANIFEST") for name in names) == 1, names
    assert sum(name.endswith(".log") for name in names) <= 2, names
