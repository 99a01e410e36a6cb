"""Power loss and death of the process at every operation of random workloads, under every policy."""
import random
import types

import pytest

from crash import states
from crash_engine import FIFO, SMALL, TIERED, Run, check_killed, check_states, open_files, process_states, random_changes
from lsm import _core
from lsm.errors import CorruptionError, NotADatabaseError

OPTIONS = {"leveled": SMALL, "tiered": TIERED, "fifo": FIFO}


def random_run(seed, options=SMALL, batches=120, mapped=True, synced=0.15):
    """A workload in which rotation, flush, compaction and many manifests happen; closed at its end."""
    rng = random.Random(seed)
    run = Run(options, mapped=mapped)
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number), sync=rng.random() < synced)
        if rng.random() < 0.02:
            run.sync()
    run.read_all()
    run.close()
    return run


@pytest.mark.parametrize("policy", OPTIONS)
def test_power_loss_at_every_operation(policy):
    run = random_run(f"power {policy}", OPTIONS[policy])
    done = run.directory.steps_of()
    assert done["rename"] > 20 and done["unlink"] > 40, done
    check_states(run, every=12)


def test_power_loss_where_logs_are_written_by_calls():
    check_states(random_run("plain", mapped=False), every=24)


@pytest.mark.parametrize("synced", [0.0, 1.0])
def test_power_loss_with_no_and_with_every_write_synced(synced):
    check_states(random_run(f"synced {synced}", batches=60, synced=synced), every=8)


@pytest.mark.parametrize("policy", OPTIONS)
def test_death_of_the_process_at_every_operation(policy):
    run = random_run(f"killed {policy}", OPTIONS[policy])
    assert check_killed(run, every=3) > 100


def test_the_states_of_a_killed_process_are_what_the_directory_holds():
    run = Run()
    for number in range(1, 40):
        run.write(random_changes(random.Random(number), number))
    *_, (_, files) = process_states(run.journal)
    assert files == run.directory.crashed_process()
    run.close()


def test_power_loss_around_compaction_with_snapshots():
    """Snapshots hold old versions back in merges; they die with the crash, and nothing they held may come back."""
    rng = random.Random("snapshots")
    run = Run()
    held = []
    for number in range(1, 81):
        run.write(random_changes(rng, number, keys=12, value_bytes=600), sync=rng.random() < 0.1)
        if number % 8 == 0:
            held.append((run.db.snapshot(), run.history[-1]))
        if number % 20 == 0:
            run.compact()
            for snapshot, expected in held:
                assert dict(snapshot.items() if hasattr(snapshot, "items") else snapshot.scan()) == expected
            held.pop(0)[0].close()
    run.close()
    check_states(run, every=12)


def test_power_loss_with_flush_compact_and_reopening_in_the_middle():
    rng = random.Random("middle")
    run = Run()
    for number in range(1, 61):
        run.write(random_changes(rng, number), sync=rng.random() < 0.1)
        if number % 15 == 0:
            run.flush()
        if number % 20 == 0:
            run.compact()
        if number % 25 == 0:
            run.reopen()
    run.close()
    check_states(run, every=12)


def test_power_loss_during_a_checkpoint(monkeypatch):
    """The first database comes through; the second is no database, or all that the first held."""
    rng = random.Random("checkpoint")
    run = Run()
    beside = run.directory.beside("/second")
    core = types.SimpleNamespace(**{**vars(_core), "Directory": lambda path, create: beside})
    monkeypatch.setattr(run.db._tree, "core", core)
    for number in range(1, 41):
        run.write(random_changes(rng, number))
        if number == 30:
            begun = len(run.journal)
            run.db.checkpoint("/second")
            run.directory.mark("checkpointed")
    run.close()
    check_states(run, every=12)
    journal, whole, count = run.journal, False, 0
    complete = next(at for at, o in enumerate(journal) if o.name == "checkpointed" and o.kind == "mark")
    for model in ("weak", "ext4"):
        for state in states(journal, model, folder=beside.folder, start=begun):
            count += 1
            try:
                db = open_files(state.files, {**SMALL, "create": False})
            except (NotADatabaseError, CorruptionError):
                assert state.point <= complete and "CURRENT" not in state.files, state[:2]
                continue
            assert dict(db.items()) == run.history[30] and db.verify().ok, state[:2]
            db.close()
            whole = True
    assert whole
    print(f"states of the checkpoint: {count}")
    assert isinstance(beside, _core.SimulatedDirectory)
