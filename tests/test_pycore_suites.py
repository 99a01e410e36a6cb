"""Suites that were written for the compiled core, on the plain one: damage, death of the process, loss of power, failing
disks, the model. Each test is imported from where it is told; here there are fewer rounds of it, since all is slower.

`lsm.open` and `lsm.DB` mean pylsm in this module.
"""
import random

import lsm
import pytest
import test_damage
import test_kill
import test_model
from crash_engine import SMALL, TIERED, check_killed, check_states
from fault_engine import FaultyRun, workload
from plain_directory import SimulatedPyDB
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
from test_fault_engine import play
from test_regressions import (  # noqa: F401
    test_a_failed_switch_of_manifests_does_not_take_the_new_tables_along,
    test_a_failed_sync_in_rotation_turns_the_store_read_only,
    test_a_recovery_without_room_promises_nothing,
    test_a_scan_goes_on_where_a_signal_handler_raised,
    test_an_opening_that_a_signal_ends_leaves_no_thread_at_work_behind,
    test_who_changes_the_tree_does_not_wait_for_a_sync,
)
from test_signals import strikes, test_a_handler_that_raises_anywhere_leaves_the_store_whole  # noqa: F401

genuine = lsm.open


@pytest.fixture(autouse=True)
def on_the_plain_core(monkeypatch):
    monkeypatch.setattr(lsm, "open", lambda path, **how: genuine(path, **{"engine": "pylsm", **how}))
    monkeypatch.setattr(lsm, "DB", SimulatedPyDB)
    monkeypatch.setattr(test_damage, "MOST", 12)
    monkeypatch.setattr(test_kill, "KILLS", 45)
    monkeypatch.setattr(test_model, "STEPS", 1500)


writers = test_kill.nursery


@pytest.mark.parametrize("name", ["default", "tiny tiered"])
def test_nothing_acknowledged_is_lost_by_a_killed_process(path, writers, monkeypatch, name):
    """The writers are other processes: what they open is told them with the options."""
    monkeypatch.setitem(test_kill.OPTION_SETS, name, {**test_kill.OPTION_SETS[name], "engine": "pylsm"})
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
    clean = FaultyRun()
    workload(clean, random.Random("plain faults"))
    steps = clean.directory.steps
    clean.db.close()
    for after in range(1, steps, steps // 12):
        play("plain faults", {"error": error, "after": after, "sticky": sticky}, every=12)
