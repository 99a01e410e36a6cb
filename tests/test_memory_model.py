"""The engine `memory` as the model of all others: the whole contract, called on both in turn, must answer alike, errors included.

tests/model.py is the plainer model, a dict, which `memory` itself is held against (test_model.py).
"""
import os

import lsm
import pytest
from engines import ENGINES, OPTIONS
from model import random_key, random_range, random_value

STEPS = int(os.environ.get("LSM_MODEL_STEPS", "400"))
TINY = {"lsm": {"memtable_bytes": 16 << 10, "table_bytes": 16 << 10}, "pylsm": {"memtable_bytes": 16 << 10},
        "hashlog": {"file_bytes": 16 << 10}}
NONSENSE = ["a string", None, 7, b"k" * 70_000]
RANGES = [{"limit": -1}, {"keys": False, "values": False}, {"limit": "x"}, {"start": "text"}, {"limit": 0}]


class Undone(Exception):
    """Raised in a batch, so that it is not written."""


def answer(call):
    """What it answers, or what it raises."""
    try:
        return call()
    except (lsm.Error, KeyError, TypeError, ValueError, Undone) as error:
        return type(error)


class Pair:
    """A database and its model; whatever is done is done to both, and what they answer is compared."""

    def __init__(self, path, engine, rng):
        self.path, self.rng = path, rng
        self.options = {"engine": engine, **OPTIONS.get(engine, {}), **TINY.get(engine, {})}
        self.db, self.model = lsm.open(path, **self.options), lsm.open("model", engine="memory")
        self.snapshots, self.cursors = [], []

    def both(self, call, *two):
        db, model = two or (self.db, self.model)
        found, expected = answer(lambda: call(db)), answer(lambda: call(model))
        assert found == expected
        return found

    def keys(self):
        return [random_key(self.rng) for _ in range(self.rng.randrange(12))]

    def single(self, number):
        key, value = random_key(self.rng), random_value(self.rng, number)
        self.both(self.rng.choice((
            lambda db: db.put(key, value), lambda db: db.__setitem__(key, value), lambda db: db.delete(key),
            lambda db: db.__delitem__(key), lambda db: db.get(key), lambda db: db.get(key, 7), lambda db: db[key],
            lambda db: key in db, lambda db: db.pop(key), lambda db: db.pop(key, None), lambda db: db.setdefault(key, value),
            lambda db: db.popitem(), lambda db: (len(db), bool(db)))))

    def many(self, number):
        rows = [(key, random_value(self.rng, number)) for key in self.keys()]
        writes = [(key, value if self.rng.random() < 0.6 else None) for key, value in rows]
        undone = self.rng.random() < 0.2

        def batch(db):
            with db.write_batch() as batch:
                for key, value in writes:
                    batch.delete(key) if value is None else batch.put(key, value)
                if undone:
                    raise Undone
                return len(batch)

        self.both(self.rng.choice((
            batch, lambda db: db.write(writes), lambda db: db.write_many(rows), lambda db: db.update(rows),
            lambda db: db.multi_get([key for key, _ in rows]), lambda db: db.multi_get((key for key, _ in rows), b"-"))))

    def read(self, number):
        how = random_range(self.rng) if self.rng.random() < 0.9 else self.rng.choice(RANGES)
        self.both(self.rng.choice((
            lambda db: list(db.scan(**how)), lambda db: [key for chunk in db.scan_chunks(**{**how, "keys": True, "values": False})
                                                         for key in chunk.keys.tolist()],
            lambda db: list(db.keys()), lambda db: list(db.items())[:9],
            lambda db: list(reversed(db))[:9], lambda db: next(iter(db), None))))

    def snapshot(self, number):
        if len(self.snapshots) < 4:
            self.snapshots.append((self.db.snapshot(), self.model.snapshot()))
        two, keys, how = self.rng.choice(self.snapshots), self.keys(), random_range(self.rng)
        self.both(lambda then: (then.multi_get(keys), list(then.scan(**how)), len(then)), *two)
        if self.rng.random() < 0.2:
            self.snapshots.remove(two)
            self.both(lambda then: then.close(), *two)
            self.both(lambda then: then.get(b"k"), *two)

    def cursor(self, number):
        if len(self.cursors) < 3:
            self.cursors.append((self.db.cursor(), self.model.cursor()))
        two, key = self.rng.choice(self.cursors), random_key(self.rng)
        for move in self.rng.choices((
                lambda cursor: cursor.seek(key), lambda cursor: cursor.seek_before(key), lambda cursor: cursor.first(),
                lambda cursor: cursor.last(), lambda cursor: cursor.next(), lambda cursor: cursor.prev()), k=8):
            self.both(lambda cursor, move=move: (move(cursor), cursor.valid, cursor.key, cursor.value), *two)
        if self.rng.random() < 0.3:
            self.cursors.remove(two)
            self.both(lambda cursor: cursor.close(), *two)
            self.both(lambda cursor: cursor.next(), *two)

    def nonsense(self, number):
        wrong = self.rng.choice(NONSENSE)
        self.both(self.rng.choice((
            lambda db: db.put(wrong, b""), lambda db: db.delete(wrong), lambda db: db.get(wrong), lambda db: db[wrong],
            lambda db: db.write([(b"k", b"v"), (wrong, b"v")]), lambda db: list(db.scan(limit=wrong, start=b"")))))

    def reopen(self, number):
        if self.rng.random() < 0.1:
            for pair in self.snapshots + self.cursors:
                for one in pair:
                    one.close()
            self.snapshots, self.cursors = [], []
            self.db.close()
            self.db = lsm.open(self.path, **self.options)
            self.both(lambda db: list(db.scan()))
        elif self.rng.random() < 0.3:
            upkeep = self.rng.choice(("flush", "compact", "sync"))
            self.both(lambda db: getattr(db, upkeep)())


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "memory"])
def test_every_engine_answers_as_memory_does(path, rng, engine):
    pair = Pair(path, engine, rng)
    steps = (pair.single, pair.many, pair.read, pair.snapshot, pair.cursor, pair.nonsense, pair.reopen)
    for number in range(STEPS):
        rng.choices(steps, (12, 6, 4, 2, 2, 1, 1))[0](number)
    pair.both(lambda db: list(db.scan()))
    pair.both(lambda db: db.verify().ok)
    pair.db.close()
    pair.model.close()
    for call in (lambda db: db.get(b"k"), lambda db: db.put(b"k", b"v"), lambda db: db.scan(), lambda db: db.snapshot(),
                 lambda db: len(db), lambda db: db.closed):
        pair.both(call)
