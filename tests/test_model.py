"""Random operations against the model, under every option set and on every engine: a long walk each, and a machine
hypothesis can shrink.

LSM_MODEL_STEPS and LSM_MODEL_EXAMPLES raise how far they go (the nightly run); the default is for every change.
"""

import os
import random
import shutil
import tempfile

import lsm
import pytest
from engines import OTHERS
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from model import contents, option_sets, random_key, random_range, random_value, scanned

STEPS = int(os.environ.get("LSM_MODEL_STEPS", "20000"))
EXAMPLES = int(os.environ.get("LSM_MODEL_EXAMPLES", "12"))
SETS = {**option_sets(), **OTHERS}
GONE = {"engine": "memory"}        # what is closed is gone


class Walk:
    """One long random walk over a database and its model side by side."""

    def __init__(self, path, options, seed):
        self.path, self.options, self.rng = path, options, random.Random(seed)
        self.db, self.model, self.held = lsm.open(path, **options), {}, []

    def put(self, number):
        key, value = random_key(self.rng), random_value(self.rng, number)
        self.db.put(key, value)
        self.model[key] = value

    def delete(self, number):
        key = random_key(self.rng)
        self.db.delete(key)
        self.model.pop(key, None)

    def get(self, number):
        key = random_key(self.rng)
        assert self.db.get(key) == self.model.get(key), key
        assert (key in self.db) == (key in self.model)

    def batch(self, number):
        with self.db.write_batch() as batch:
            for _ in range(self.rng.randrange(20)):
                key, value = random_key(self.rng), random_value(self.rng, number)
                if self.rng.random() < 0.3:
                    batch.delete(key)
                    self.model.pop(key, None)
                else:
                    batch.put(key, value)
                    self.model[key] = value

    def write_many(self, number):
        pairs = [(random_key(self.rng), random_value(self.rng, number)) for _ in range(self.rng.randrange(20))]
        assert self.db.write_many(pairs) == len(pairs)
        self.model.update(pairs)

    def multi_get(self, number):
        keys = [random_key(self.rng) for _ in range(10)]
        assert self.db.multi_get(keys) == [self.model.get(key) for key in keys]

    def scan(self, number):
        asked = random_range(self.rng)
        assert list(self.db.scan(**asked)) == scanned(self.model, **asked), asked

    def snapshot(self, number):
        self.held.append((self.db.snapshot(), dict(self.model)))
        if len(self.held) > 3:
            snapshot, then = self.held.pop(self.rng.randrange(len(self.held)))
            asked = random_range(self.rng)
            assert list(snapshot.scan(**asked)) == scanned(then, **asked), asked
            assert contents(snapshot) == then
            snapshot.close()

    def flush(self, number):
        self.db.flush()

    def compact(self, number):
        self.db.compact()

    def reopen(self, number):
        self.held.clear()
        self.db.close()
        self.db = lsm.open(self.path, **self.options)
        if self.options == GONE:
            self.model.clear()

    def everything(self, number):
        assert contents(self.db) == self.model
        assert len(self.db) == len(self.model)

    WEIGHTS = {put: 50, delete: 15, get: 30, batch: 2, write_many: 2, multi_get: 2, scan: 1, snapshot: 0.3,
               flush: 0.2, compact: 0.05, reopen: 0.1, everything: 0.1}


@pytest.mark.parametrize("name", SETS)
def test_a_long_random_walk_never_leaves_the_model(path, name):
    print(f"seed: {name!r}, options: {SETS[name]}")
    walk = Walk(path, SETS[name], name)
    steps = walk.rng.choices(list(Walk.WEIGHTS), list(Walk.WEIGHTS.values()), k=STEPS)
    for number, step in enumerate(steps):
        try:
            step(walk, number)
        except Exception:
            print(f"at step {number}: {step.__name__}")
            raise
    walk.reopen(STEPS)
    walk.everything(STEPS)
    assert walk.db.verify()
    walk.db.close()


KEYS = st.lists(st.sampled_from([b"", b"\x00", b"a", b"b", b"\xff"]), max_size=3).map(b"".join)
VALUES = st.one_of(st.binary(max_size=8), st.integers(0, 255).map(lambda byte: bytes((byte,)) * 700))


class Machine(RuleBasedStateMachine):
    """The same against hypothesis: few keys, every operation a rule, so that a failure shrinks to a short story."""

    options: dict = {}
    snapshots = Bundle("snapshots")

    def __init__(self):
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="lsm-machine-")
        self.db = None

    @initialize()
    def open(self):
        self.db = lsm.open(self.directory, **self.options)
        self.model = {}

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        self.db.put(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key):
        self.db.delete(key)
        self.model.pop(key, None)

    @rule(key=KEYS)
    def take(self, key):
        assert self.db.pop(key, None) == self.model.pop(key, None)

    @rule(operations=st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=6), kept=st.booleans(), sync=st.booleans())
    def batch(self, operations, kept, sync):
        changed = dict(self.model)
        try:
            with self.db.write_batch(sync=sync) as batch:
                for key, value in operations:
                    if value is None:
                        batch.delete(key)
                        changed.pop(key, None)
                    else:
                        batch[key] = changed[key] = value
                if not kept:
                    raise InterruptedError
        except InterruptedError:
            return
        self.model = changed

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=12))
    def write_many(self, pairs):
        assert self.db.write_many(pairs) == len(pairs)
        self.model.update(pairs)

    @rule(keys=st.lists(KEYS, max_size=4))
    def get(self, keys):
        expected = [self.model.get(key) for key in keys]
        assert self.db.multi_get(keys) == expected == [self.db.get(key) for key in keys]

    @rule(start=st.none() | KEYS, stop=st.none() | KEYS, prefix=st.none() | KEYS, include_start=st.booleans(),
          include_stop=st.booleans(), reverse=st.booleans(), limit=st.none() | st.integers(0, 4))
    def scan(self, **asked):
        assert list(self.db.scan(**asked)) == scanned(self.model, **asked)

    @rule(target=snapshots)
    def snapshot(self):
        return self.db.snapshot(), dict(self.model)

    @rule(held=snapshots)
    def compare(self, held):
        snapshot, then = held
        try:
            assert contents(snapshot) == then
        except lsm.ClosedError:
            assert snapshot.closed  # by a reopen since

    @rule(held=consumes(snapshots))
    def release(self, held):
        held[0].close()

    @rule(key=KEYS, moves=st.lists(st.sampled_from(["next", "prev"]), max_size=8))
    def walk(self, key, moves):
        rows = sorted(self.model.items())
        at = sum(found < key for found in self.model)
        with self.db.cursor() as cursor:
            there = cursor.seek(key)
            for move in [*moves, None]:
                assert there is (0 <= at < len(rows))
                if not there or move is None:
                    return
                assert (cursor.key, cursor.value) == rows[at]
                there, at = getattr(cursor, move)(), at + (1 if move == "next" else -1)

    @rule()
    def flush(self):
        self.db.flush()

    @rule()
    def compact(self):
        self.db.compact()

    @rule()
    def reopen(self):
        self.db.close()
        self.db = lsm.open(self.directory, **self.options)
        if self.options == GONE:
            self.model.clear()

    @invariant()
    def agrees(self):
        if self.db is not None:
            assert dict(self.db.scan()) == self.model

    def teardown(self):
        if self.db is not None:
            self.db.close()
        shutil.rmtree(self.directory)


@pytest.mark.parametrize("name", SETS)
def test_no_short_story_contradicts_the_model(name):
    machine = type("Machine", (Machine,), {"options": SETS[name]})
    machine.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None, derandomize=True,
                                         database=None, suppress_health_check=list(HealthCheck))
    machine.TestCase("runTest").debug()
