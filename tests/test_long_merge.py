"""Merges of many steps: what fills up meanwhile is flushed between two of them, and any of them may be the last."""
import threading

import pytest
from crash_engine import open_files, open_on
from test_shaker import SMALL, Aside, Never, several_tables, until

import lsm
from lsm import _core
from lsm.errors import ClosedError
from lsm.tree import flush as flushing
from lsm.tree import shaker as shaking
from lsm.tree.compact import carry_out
from lsm.tree.compaction import merge_everything
from lsm.tree.shaker import Stopping


def steps_of_a_merge(monkeypatch, between):
    """A database of several tables, merged into one run in many steps; `between(db, n)` is called after step n."""
    monkeypatch.setattr(flushing, "STEP_BYTES", 512)
    db = open_on(_core.SimulatedDirectory(), {**SMALL, "compaction": Never()})
    several_tables(db, 4)
    steps = []

    def pause():
        steps.append(len(steps))
        between(db, len(steps))
        db._shaker._pause()

    return db, pause, steps


def test_memtables_that_fill_up_during_a_merge_are_flushed_between_its_steps(monkeypatch):
    def between(db, step):
        if step % 3 == 0:
            db.put(b"%03d" % (step % 20), b"newer %d" % step)
            db.put(b"new %d" % step, b"")
            expected[b"%03d" % (step % 20)], expected[b"new %d" % step] = b"newer %d" % step, b""
            db._seal()
            assert len(db._tree.sealed) == 1

    db, pause, steps = steps_of_a_merge(monkeypatch, between)
    expected = dict(db.items())
    carry_out(db._tree, merge_everything(db._tree.version), pause)
    assert len(steps) > 6 and not db._tree.sealed
    assert len(db._tree.version.levels[0]) == len(steps) // 3, "each is a table of its own, above the merge's output"
    assert dict(db.items()) == expected and db.verify()
    db.compact()
    assert dict(db.items()) == expected
    db.close()


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_merge_given_up_at_any_step_loses_nothing_and_leaves_nothing(monkeypatch, step):
    def between(db, now):
        if now == step:
            db._shaker.stopping = True

    db, pause, steps = steps_of_a_merge(monkeypatch, between)
    expected, version, files = dict(db.items()), db._tree.version, set(db._tree.directory.list())
    with pytest.raises(Stopping):
        carry_out(db._tree, merge_everything(version), pause)
    assert len(steps) == step
    assert db._tree.version == version and set(db._tree.directory.list()) == files
    assert dict(db.items()) == expected and db.verify()
    directory = db._tree.directory
    db.close()
    assert dict(open_files(directory.files(), {"compaction": "leveled"}).items()) == expected


def test_a_snapshot_taken_before_a_merge_reads_on_through_it(monkeypatch):
    seen = []
    db, pause, _ = steps_of_a_merge(monkeypatch, lambda db, step: seen.append(dict(then.scan()) == before))
    before = dict(db.items())
    then, rows = db.snapshot(), db.scan()
    first = next(rows)
    carry_out(db._tree, merge_everything(db._tree.version), pause)
    db.clear()
    db.compact()
    assert all(seen) and dict(then.scan()) == before and dict([first, *rows]) == before
    then.close()
    db.close()


def test_closing_gives_a_long_merge_up(path, monkeypatch):
    """The thread is amid a merge of many steps when close() comes; nothing is lost, and close does not wait for its end."""
    came, go = threading.Event(), threading.Event()
    genuine = shaking.Shaker._pause

    def pause(self):
        came.set()
        assert go.wait(60)
        genuine(self)

    monkeypatch.setattr(shaking.Shaker, "_pause", pause)
    monkeypatch.setattr(flushing, "STEP_BYTES", 512)
    db = lsm.open(path, **{**SMALL, "compaction": Never()})
    several_tables(db, 4)
    expected = dict(db.items())
    compacting = Aside(db.compact)
    assert came.wait(60)
    closing = Aside(db.close)
    until(lambda: db._shaker.stopping)
    go.set()
    closing.result()
    with pytest.raises(ClosedError):
        compacting.result()
    assert db._shaker.tree.counters.compactions == 0
    with lsm.open(path, compaction="leveled") as db:
        assert dict(db.items()) == expected and db.verify()
