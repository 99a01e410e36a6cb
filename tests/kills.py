"""kill -9 of a writing process, over and over on one database: the nursery of writers, and what must hold after each death.

What was acknowledged is there, and the contents are exactly those after p whole batches, where p is the last acknowledged one
or the one that was being written. The writers are kill_writer.py's.
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
from kill_writer import COUNTER, operations

MARKERS = ["CURRENT", "HASHLOG", "BTREE", "rows.sqlite"]        # what says that there is a database
WRITER = pathlib.Path(__file__).with_name("kill_writer.py")


class Nursery:
    """A process that forks a writer for each request. Its errors go to the file `errors`."""

    def __init__(self, errors):
        source = os.path.dirname(os.path.dirname(lsm.__file__))
        self.errors = open(errors, "w+b")
        self.child = subprocess.Popen(
            [sys.executable, WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([source, *sys.path])})

    def ask(self, request):
        self.child.stdin.write(json.dumps(request).encode() + b"\n")
        self.child.stdin.flush()

    def hear(self):
        return self.child.stdout.readline().split()

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait(30)
        self.errors.close()


def one_life(nursery, request, rng):
    """Starts a writer, kills it at a random moment: (batches it recovered or None, last batch acknowledged or None)."""
    nursery.ask(request)
    said = nursery.hear()
    assert said[0] == b"pid", said
    pid = int(said[1])
    recovered = acknowledged = None
    if rng.random() < 0.3:  # at any moment from the fork on: during recovery too
        time.sleep(rng.random() * 0.01)
    else:  # after so many acknowledged batches, and a little
        for _ in range(rng.choice((1, 2, 5, 20, 100, 300))):
            said = nursery.hear()
            if said[0] == b"end":
                break
            recovered, acknowledged = (int(said[1]), None) if said[0] == b"ready" else (recovered, int(said[0]))
        time.sleep(rng.random() * 0.002)
    if said[0] != b"end":
        os.kill(pid, signal.SIGKILL)
    while said[0] != b"end":
        said = nursery.hear()
        if said[0] == b"ready":
            recovered = int(said[1])
        elif said[0] != b"end":
            acknowledged = int(said[0])
    assert int(said[1]) == -signal.SIGKILL, f"the writer died by itself: {nursery.complaints()}"
    return recovered, acknowledged


class Lives:
    """One database, and the writers that were killed on it one after another."""

    def __init__(self, path, nursery, seed, options):
        self.path, self.nursery, self.seed, self.options = path, nursery, seed, options
        self.rng = random.Random(seed)
        self.state, self.known, self.cycle = {}, 0, 0  # the contents after `known` batches: the last state checked

    def live(self):
        """One more life, and a look at what it left."""
        cycle, self.cycle = self.cycle, self.cycle + 1
        request = {"path": str(self.path), "seed": self.seed, "options": self.options}
        recovered, acknowledged = one_life(self.nursery, request, self.rng)
        assert recovered in (None, self.known), \
            f"cycle {cycle}: {self.known} batches were there, the next open found {recovered}"
        acknowledged = self.known if acknowledged is None else acknowledged
        if recovered is None and not self.known and not any((self.path / name).exists() for name in MARKERS):
            return  # killed before there was a database
        # Every other time look without touching, so that the next writer recovers from what the kill really left.
        with lsm.open(self.path, engine=self.options.get("engine", "lsm"), read_only=cycle % 2 == 1) as db:
            found = int(db.get(COUNTER, b"0"))
            assert acknowledged <= found <= acknowledged + 1, f"cycle {cycle}: acknowledged {acknowledged}, found {found}"
            while self.known < found:
                self.known += 1
                self.apply(self.known)
            assert dict(db.scan()) == self.state, f"cycle {cycle}: not the contents after {found} batches"
            if cycle % 5 == 0:
                assert list(db.scan(reverse=True)) == sorted(self.state.items(), reverse=True)
                report = db.verify()
                assert report.ok, report.damage

    def apply(self, number):
        for key, value in operations(self.seed, number):
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
