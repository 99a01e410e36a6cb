"""Suites that were written for the compiled core, on the plain one: chunks, damage, death of the process, loss of power, failing
disks, the model. Each test is imported from where it is told; here there are fewer rounds of it, since all is slower.

`lsm.open` and `lsm.DB` mean pylsm in this module.
"""
import random
import signal

import kills
import lsm
import pytest
import test_chunks
import test_damage
import test_kill
import test_model
from crash_engine import SMALL, TIERED, check_killed, check_states
from fault_engine import FaultyRun, measured, play, workload
from plain_directory import SimulatedPyDB
from test_chunks import (  # noqa: F401
    filled,
    pyarrow,
    test_a_chunk_holds_as_much_as_was_asked_for,
    test_a_row_larger_than_a_chunk_is_a_chunk,
    test_arrow_moves_children_out,
    test_arrow_reads_chunk_and_column,
    test_arrow_reads_nothing,
    test_closing,
    test_damage_is_raised_after_the_rows_before_it_and_again,
)
from test_crash_engine import random_run
from test_damage import (  # noqa: F401
    impatient,
    test_a_compaction_that_meets_damage_keeps_its_inputs_and_says_so,
    test_a_file_cut_anywhere_is_noticed_or_harmless,
    test_a_flipped_bit_anywhere_is_noticed_or_harmless,
    test_a_missing_log_is_noticed_or_was_empty,
    test_a_missing_table_or_manifest_is_noticed,
    test_a_run_of_zeros_or_noise_is_noticed_or_harmless,
    test_a_table_cut_short_under_an_open_database_is_an_error_not_a_signal,
    test_damage_under_an_open_database_is_noticed_when_the_block_is_read,
    test_two_exchanged_tables_are_noticed,
    test_without_its_current_file_it_is_no_new_database,
    victim,
)
from test_regressions import (  # noqa: F401
    test_a_failed_switch_of_manifests_does_not_take_the_new_tables_along,
    test_a_failed_sync_in_rotation_turns_the_store_read_only,
    test_a_recovery_without_room_promises_nothing,
    test_a_scan_goes_on_where_a_signal_handler_raised,
    test_an_opening_that_a_signal_ends_leaves_no_thread_at_work_behind,
    test_who_changes_the_tree_does_not_wait_for_a_sync,
)
from test_signals import strikes, test_a_handler_that_raises_anywhere_leaves_the_store_whole  # noqa: F401

from lsm import _pycore

genuine = lsm.open

# a file closed by a finalizer just when the handler raises
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def engine():
    """Of the fixture `db`."""
    return "pylsm"


@pytest.fixture(autouse=True)
def on_the_plain_core(monkeypatch):
    monkeypatch.setattr(lsm, "open", lambda path, **how: genuine(path, **{"engine": "pylsm", **how}))
    monkeypatch.setattr(lsm, "DB", SimulatedPyDB)
    monkeypatch.setattr(lsm, "Chunk", _pycore.Chunk)
    monkeypatch.setattr(test_damage, "MOST", 12)
    monkeypatch.setattr(test_kill, "KILLS", 15 * len(test_kill.OPTION_SETS))
    monkeypatch.setattr(test_model, "STEPS", 1500)


writers = test_kill.nursery


@pytest.mark.parametrize("name", ["default", "tiny tiered"])
def test_what_a_killed_process_of_one_engine_leaves_the_other_goes_on_with(path, writers, monkeypatch, name):
    """Each writer, a process that is killed, is of one of the two, by chance; so is who looks what it left."""
    chance, one_life = random.Random(name), kills.one_life
    either = ("lsm", "pylsm")
    monkeypatch.setattr(lsm, "open", lambda path, engine, **how: genuine(path, engine=chance.choice(either), **how))
    monkeypatch.setattr(kills, "one_life", lambda nursery, request, rng: one_life(
        nursery, {**request, "options": {**request["options"], "engine": chance.choice(either)}}, rng))
    test_kill.test_nothing_acknowledged_is_lost_by_a_killed_process(path, writers, name)


@pytest.mark.parametrize("name", ["default", "tiny leveled", "smallest", "tiny no cache", "tiny lz4"])
def test_a_random_walk_never_leaves_the_model(path, name):
    if name in test_model.SETS:
        test_model.test_a_long_random_walk_never_leaves_the_model(path, name)


@pytest.mark.parametrize("name, options", [("leveled", SMALL), ("tiered", TIERED)])
def test_power_loss_and_death_at_operations_of_a_workload(name, options):
    run = random_run(f"plain {name}", options, batches=60)
    check_states(run, every=60)
    check_killed(run, every=12)


@pytest.mark.parametrize("error", [5, 28], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
def test_operations_fail(error, sticky):
    steps = measured(FaultyRun, workload, "plain faults", lambda run: run.directory.steps)
    for after in range(1, steps, steps // 12):
        play(FaultyRun, workload, "plain faults", {"error": error, "after": after, "sticky": sticky}, every=12)


@pytest.mark.timeout(120, method="thread")
def test_a_handler_that_uses_the_database_waits_for_nobody(path, rng):
    """It comes in the middle of whatever the main thread does, locks held: it gets an answer, or BusyError."""
    model, told = {}, {"rows": 0, "busy": 0, "writes": 0}

    def use(number, frame):
        try:
            assert db.get(b"always") == b"there"
            told["rows"] += len(list(db.scan(b"a", limit=3)))
            with db.cursor() as cursor:
                assert cursor.seek(b"always")
            db.put(b"from the handler", b"%d" % told["writes"])
            told["writes"] += 1
        except lsm.BusyError:
            told["busy"] += 1
        signal.setitimer(signal.ITIMER_REAL, rng.random() * 0.001 + 1e-5)       # not before this one has ended

    with lsm.open(path, memtable_bytes=64 << 10, block_cache_bytes=64 << 10, compression="none") as db:
        db.put(b"always", b"there")
        before = signal.signal(signal.SIGALRM, use)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        try:
            for number in range(3000):
                key = b"k%03d" % rng.randrange(400)
                model[key] = b"%d" % number
                db.put(key, model[key])
                assert db.get(key) == model[key]
                if number % 50 == 0:
                    assert dict(db.scan(prefix=b"k")) == model
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert dict(db.scan(prefix=b"k")) == model and dict(db.scan(prefix=b"k", reverse=True)) == model
        assert int(db.get(b"from the handler", b"-1")) == told["writes"] - 1 and told["rows"] and told["busy"], told
    with lsm.open(path) as db:
        assert dict(db.scan(prefix=b"k")) == model and db.verify().ok


@pytest.mark.parametrize("asked", [{}, {"reverse": True}, {"keys": False}, {"values": False}, {"limit": 10}])
def test_arrow_reads_the_stream(filled, pyarrow, asked):  # noqa: F811
    test_chunks.test_arrow_reads_the_stream(filled, pyarrow, asked, lsm.DB.scan_chunks)
