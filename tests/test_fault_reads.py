"""Every read of the disk fails: the call raises StorageError or answers rightly, and the next call is right again."""
import errno
import random

import pytest

from crash_engine import SMALL, Run, random_changes
from lsm.errors import StorageError
from lsm.tree.compaction import Leveled

OPTIONS = {**SMALL, "block_cache_bytes": 0}
UNMERGED = {**OPTIONS, "compaction": Leveled(trigger_tables=11)}


def filled(seed, options=OPTIONS, batches=60):
    """A database in tables of several levels."""
    rng = random.Random(seed)
    run = Run(options)
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number))
    run.flush()
    return run


def walk(cursor):
    found, there = [], cursor.first()
    while there:
        found.append((cursor.key, cursor.value))
        there = cursor.next()
    return found


def walk_back(cursor):
    found, there = [], cursor.last()
    while there:
        found.append((cursor.key, cursor.value))
        there = cursor.prev()
    return found[::-1]


def to_and_fro(cursor):
    found, there = [], cursor.first()
    while there:
        found.append((cursor.key, cursor.value))
        assert cursor.next() if cursor.prev() else cursor.first()
        there = cursor.next()
    return found


def seek_before_each(cursor, keys):
    return [(cursor.key, cursor.value) for key in keys if cursor.seek_before(key + b"\0")]


READS = {
    "get": lambda db, keys: [(key, db.get(key)) for key in keys],
    "multi_get": lambda db, keys: list(zip(keys, db.multi_get(keys), strict=True)),
    "scan": lambda db, keys: list(db.items()),
    "scan back": lambda db, keys: list(db.scan(reverse=True))[::-1],
    "scan of a range": lambda db, keys: list(db.scan(keys[0], keys[-1], include_stop=True)),
    "cursor": lambda db, keys: walk(db.cursor()),
    "cursor back": lambda db, keys: walk_back(db.cursor()),
    "cursor to and fro": lambda db, keys: to_and_fro(db.cursor()),
    "cursor before each": lambda db, keys: seek_before_each(db.cursor(), keys),
    "snapshot": lambda db, keys: list(db.snapshot().scan()),
    "in": lambda db, keys: [(key, db[key]) for key in keys if key in db],
    "len": lambda db, keys: len(db),
}


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("way", READS)
def test_a_failing_read_is_told(way, sticky):
    """Or made good, if it failed once and read ahead: what is needed of it is then read again."""
    run = filled("reads")
    db, keys = run.db, sorted(run.history[-1])
    right = sorted(run.history[-1].items()) if way != "len" else len(keys)
    before = run.directory.steps_of()["pread"]
    assert READS[way](db, keys) == right
    reads = run.directory.steps_of()["pread"] - before
    assert reads > 2
    told = 0
    for at in range(reads):
        run.directory.fail(errno.EIO, kind="pread", after=at, sticky=sticky)
        try:
            assert READS[way](db, keys) == right
        except StorageError as caught:
            assert caught.errno == errno.EIO and caught.filename.endswith(".table")
            told += 1
        run.directory.heal()
        assert READS[way](db, keys) == right
    assert told == reads if sticky or way in ("get", "multi_get", "in") else told > 0
    db.close()


def test_a_cursor_that_failed_is_right_when_it_is_placed_again():
    run = filled("cursor")
    keys = sorted(run.history[-1])
    cursor = run.db.cursor()
    for number, key in enumerate(keys):
        run.directory.fail(errno.EIO, kind="pread", after=number % 3)
        try:
            cursor.seek(keys[-1 - number])
            cursor.next()
            cursor.prev()
        except StorageError:
            pass
        run.directory.heal()
        assert cursor.seek(key) and (cursor.key, cursor.value) == (key, run.history[-1][key])
    run.db.close()


@pytest.mark.parametrize("kind", ["pread", "open", "append", "sync", "create"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_compaction_that_fails_leaves_its_inputs(kind, error):
    """At every operation of that kind of compact(): all is there, and after opening anew it can be compacted."""
    clean = filled("inputs", UNMERGED, 24)
    before = clean.directory.steps_of()[kind]
    clean.db.compact()
    steps = clean.directory.steps_of()[kind] - before
    assert steps
    clean.db.close()
    for at in range(steps):
        run = filled("inputs", UNMERGED, 24)
        run.directory.fail(error, kind=kind, after=at)
        try:
            run.db.compact()
        except StorageError as caught:
            assert caught.errno == error
        run.directory.heal()
        run.read_all()
        assert run.db.verify().ok
        run.check_files(run.directory.crashed_process(), (run.last, run.last))
        run.db.close()
        run.directory = run.directory.reopen()
        run.db = run_db = Run(UNMERGED, directory=run.directory).db
        assert dict(run_db.items()) == run.history[-1]
        run_db.compact()
        run.read_all()
        run_db.close()
