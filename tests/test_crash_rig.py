"""The rig itself: with a step of durability left out, the crash tests must see it."""
import dataclasses
import random

import pytest

from crash_engine import SMALL, Run, abandon, check_killed, check_states, random_changes
from lsm.errors import CorruptionError, NotADatabaseError
from lsm.tree import manifest, recovery, tree


def switch_without_sync(directory, state):
    directory.rename(manifest.CURRENT_NEW, manifest.CURRENT)


def prepare_without_sync(directory, state):
    directory.create(manifest.manifest_name(state.number), manifest.encode(state))
    directory.create(manifest.CURRENT_NEW, manifest.encode_current(state.number))


def replaced_in_two_steps(directory, state):
    directory.unlink(manifest.CURRENT_NEW)
    if manifest.CURRENT in directory.list():
        directory.unlink(manifest.CURRENT)
    directory.create(manifest.CURRENT, manifest.encode_current(state.number))
    directory.sync()


def log_goes_first(self, add=(), remove=(), opened=None, flushed=None, genuine=tree.Tree.install):
    if flushed is not None:
        self.directory.unlink(tree.log_name(flushed.log))
    genuine(self, add, remove, opened, flushed)


def inputs_go_first(self, add=(), remove=(), opened=None, flushed=None, genuine=tree.Tree.install):
    for number in set(remove) - {meta.number for _, meta in add}:
        self.directory.unlink(tree.table_name(number))
    genuine(self, add, remove, opened, flushed)


PLANTED = {
    "CURRENT is not synced": (manifest, "switch", switch_without_sync),
    "the manifest's name is not synced": (manifest, "prepare", prepare_without_sync),
    "CURRENT is replaced in two steps": (manifest, "switch", replaced_in_two_steps),
    "the log goes before the manifest": (tree.Tree, "install", log_goes_first),
    "the inputs go before the manifest": (tree.Tree, "install", inputs_go_first),
}


SYNCS = [("sync", ".log"), ("sync", ".table"), ("sync", "MANIFEST"), ("sync", "CURRENT"), ("sync_directory", "")]


def short_run():
    rng = random.Random("planted")
    run = Run(SMALL)
    for number in range(1, 41):
        run.write(random_changes(rng, number, keys=20), sync=number % 3 == 0)
    abandon(run.db)
    return run


def planted_run(monkeypatch, fault):
    with monkeypatch.context() as planted:
        planted.setattr(*fault)
        return short_run()


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_left_out_is_seen(fault, monkeypatch):
    run = planted_run(monkeypatch, PLANTED[fault])
    with pytest.raises((AssertionError, CorruptionError, NotADatabaseError)):
        check_states(run, every=3)


@pytest.mark.parametrize("kind, part", SYNCS)
def test_every_kind_of_sync_is_needed(kind, part):
    run = short_run()
    journal = [o for o in run.journal if o.kind != kind or part not in o.name]
    assert len(journal) < len(run.journal)
    with pytest.raises((AssertionError, CorruptionError, NotADatabaseError)):
        check_states(run, every=3, journal=journal)


def test_nothing_left_out_is_right():
    check_states(short_run(), every=20)


def test_recovery_that_forgets_the_logs_is_seen(monkeypatch):
    run = short_run()
    genuine = recovery.replay
    monkeypatch.setattr(recovery, "replay", lambda core, directory, state: dataclasses.replace(
        genuine(core, directory, state), memtables=(), sequence=state.last_sequence))
    with pytest.raises(AssertionError):
        check_killed(run)
