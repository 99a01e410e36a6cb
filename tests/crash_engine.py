"""The whole engine on a simulated disk: workloads of numbered atomic batches, and what must hold of every crash state.

    run = Run(SMALL)                    # opens; every step is a method of Run
    run.write({b"k": b"v"}, sync=True); run.flush(); run.close()
    for state in states(run.journal, "weak"):
        run.check(state)

Batch number p is marked "started" before the engine sees it, "acknowledged" after, "synced" once the engine has promised
that it survives the loss of power. `history[p]` is what the store holds after p batches, `sequences[p]` its last sequence.

A crash state is right when the database opens, holds history[p] for a p within the bounds and says so by its sequence,
finds itself undamaged, takes a write, and after another opening is still the same with that write.
"""
import contextlib
import os
import random

import lsm
from crash import CHANGING, apply, changes_of, check_recovered, process_bounds, states
from lsm import _core
from lsm.tree.compaction import Fifo, Leveled, Tiered

LONG = os.environ.get("LSM_LONG") == "1"
MODELS = ("weak", "ext4")
GONE = None             # the value of a key that a batch deletes

SMALL = {"memtable_bytes": 4096, "table_bytes": 8192, "block_bytes": 512, "block_cache_bytes": 1 << 16,
         "compaction": Leveled(trigger_tables=2, base_bytes=16384, ratio=2)}
TIERED = {**SMALL, "compaction": Tiered(trigger_runs=3)}
FIFO = {**SMALL, "compaction": Fifo(trigger_tables=2)}


@contextlib.contextmanager
def same_identity():
    """A database that is made inside has the same identity in every run."""
    genuine, os.urandom = os.urandom, lambda size: b"Z" * size
    try:
        yield
    finally:
        os.urandom = genuine


def open_on(directory, options=SMALL, background=False):
    with same_identity():
        return lsm.DB(directory.path, _directory=directory, _background=background, **options)


def open_files(files, options=SMALL, mapped=True):
    return open_on(_core.SimulatedDirectory(files, mapped=mapped), options)


class Run:
    """One database on one simulated disk, the writes it was given, and the marks in the journal."""

    open_on = staticmethod(open_on)         # tests of other engines have their own

    def __init__(self, options=SMALL, files=None, model=None, sequence=0, mapped=True, directory=None, background=False):
        self.options, self.mapped, self.background = options, mapped, background
        self.directory = directory or _core.SimulatedDirectory(files, mapped=mapped)
        self.history, self.sequences = [dict(model or {})], [sequence]
        self.db = self.open_on(self.directory, options, background)

    @property
    def journal(self):
        return self.directory.journal()

    @property
    def last(self):
        return len(self.history) - 1

    def begin(self, changes):
        """Enter the batch as started. (What it is when it fails is unknown, and the caller's to find out.)"""
        model = {**self.history[-1], **changes}
        self.history.append({key: value for key, value in model.items() if value is not GONE})
        self.sequences.append(self.sequences[-1] + len(changes))
        self.directory.mark("started", self.last)

    def write(self, changes, sync=False):
        self.begin(changes)
        put_all(self.db, changes, sync)
        self.directory.mark("acknowledged", self.last)
        if sync:
            self.promise()

    def promise(self):
        self.directory.mark("synced", self.last)

    def sync(self):
        self.db.sync()
        self.promise()

    def flush(self):
        self.db.flush()
        self.promise()

    def compact(self):
        self.db.compact()
        self.promise()

    def close(self):
        self.db.close()
        self.promise()

    def reopen(self):
        self.close()
        self.directory = self.directory.reopen()
        self.db = self.open_on(self.directory, self.options, self.background)

    def kill(self):
        """The process dies, another one opens the database on the disk as it is. What it found it keeps."""
        abandon(self.db)
        self.directory.close()
        self.directory = self.directory.reopen()
        self.db = self.open_on(self.directory, self.options, self.background)
        self.promise()

    def read_all(self):
        """The running database answers what it was told, by every way of reading."""
        expected = self.history[-1]
        assert dict(self.db.items()) == expected
        assert self.db.multi_get(list(expected)) == list(expected.values())

    def check(self, state, again=True):
        return self.check_files(state.files, state.bounds, again)

    def check_files(self, files, bounds, again=True):
        """The oracle. Answers p, and the directory on which it was found out."""
        directory = _core.SimulatedDirectory(files, mapped=self.mapped)
        db = self.open_on(directory, self.options)
        p = self.recovered(db, bounds)
        report = db.verify()
        assert report.ok, report.damage
        if again:
            db.put(b"after", b"the crash", sync=True)
            db.close()
            db = self.open_on(directory.reopen(), self.options)
            assert dict(db.items()) == {**self.history[p], b"after": b"the crash"}
        db.close()
        return p

    def recovered(self, db, bounds):
        lo, hi = bounds
        contents = dict(db.items())
        p = check_recovered(self.history, lo, hi, contents)
        matching = [p for p in range(lo, hi + 1) if self.sequences[p] == db._sequence]
        assert matching, f"contents of write {p}, but sequence {db._sequence} is the end of no write in {lo}..{hi}"
        assert self.history[matching[-1]] == contents, (p, matching)
        return matching[-1]


def abandon(db):
    """Leave the database as a dead process does: nothing is flushed, nothing is removed."""
    db._close_gate(forked=True)
    db.close()


def put_all(db, changes, sync=False):
    """One atomic batch; a single change goes by put or delete."""
    if len(changes) == 1:
        (key, value), = changes.items()
        return db.delete(key, sync=sync) if value is GONE else db.put(key, value, sync=sync)
    with db.write_batch(sync=sync) as batch:
        for key, value in changes.items():
            batch.delete(key) if value is GONE else batch.put(key, value)


def random_changes(rng, number, keys=40, value_bytes=1500):
    """What batch `number` does: 1 to 5 changes, a fifth of them deletes; values are unique."""
    changes = {}
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        key = b"key%02d" % rng.randrange(keys)
        size = rng.choice((0, 1, 20, 100, 400, value_bytes))
        changes[key] = GONE if rng.random() < 0.2 else b"%d:" % number + rng.randbytes(rng.randint(0, size))
    return changes


def sampled(items, every, salt=0, long=1):
    """One in `every`, the same ones each time; with LSM_LONG one in `long`. `salt`: another choice."""
    every = long if LONG else every
    rng = random.Random(salt)
    for item in items:
        if every == 1 or rng.randrange(every) == 0:
            yield item


def check_states(run, every=1, models=MODELS, salt=0, quiet=False, journal=None, **keywords):
    """The oracle on the states a power cut may leave of the run's journal. Answers how many were checked."""
    journal, counts = journal or run.journal, []
    for model in models:
        count = 0
        for state in sampled(states(journal, model, **keywords), every, salt):
            count += 1
            try:
                run.check(state)
            except BaseException:
                print(f"WRONG: {model} model, before operation {state.point} of {len(journal)}, "
                      f"{state.description}; writes {state.bounds}; {last_operations(journal, state.point)}")
                raise
        counts.append(count)
    if not quiet:
        print(f"states checked: {', '.join(f'{model} {count:,}' for model, count in zip(models, counts, strict=True))}")
    return sum(counts)


def last_operations(journal, point):
    return [f"{o.kind} {o.name}{f' {o.offset}' if o.kind == 'mark' else ''}" for o in journal[max(0, point - 6):point]]


def process_states(journal, folder=0):
    """(point, files) as a process killed before operation `point` leaves them, wherever something changed."""
    nodes, names, sizes = {}, {}, {}
    for point, operation in enumerate(journal):
        if operation.kind == "initial":
            nodes[operation.node] = operation.data
            names["directory", operation.folder, operation.name] = operation.node
        elif operation.result == 0:
            for change in changes_of(operation, "ext4", sizes.get(operation.node, 0)):
                apply(nodes, names, change)
        if operation.kind in CHANGING or operation.kind == "mark":
            yield point + 1, {key[2]: nodes.get(node, b"") for key, node in names.items() if key[1] == folder}


def check_killed(run, every=1, salt=0, quiet=False):
    """The oracle on what the death of the process leaves at each operation: all that was acknowledged is there."""
    journal, count = run.journal, 0
    for point, files in sampled(process_states(journal), every, salt):
        count += 1
        try:
            run.check_files(files, process_bounds(journal[:point]))
        except BaseException:
            print(f"WRONG: killed before operation {point} of {len(journal)}: {last_operations(journal, point)}")
            raise
    if not quiet:
        print(f"killed at {count:,} operations")
    return count
