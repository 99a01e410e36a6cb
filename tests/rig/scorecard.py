"""docs/reliability.md, from the results in docs/reliability/: one table of what was run on ours, one of the peers beside ours.

`--keep docs/reliability` puts a run's result there; what was not run is said to be so.
"""
import importlib
import json
from collections import Counter

from rig.peers import OURS, PEERS
from rig.tally import ROOT

FOLDER, PAGE = ROOT / "docs" / "reliability", ROOT / "docs" / "reliability.md"

HEAD = """# Reliability: the scorecard

Written by `python3 run.py rig scorecard` from the results in [reliability/](reliability/); do not edit. Each was kept by
`python3 run.py rig ROW --keep docs/reliability`, and states its commit, date, seed and counts. `python3 run.py rig` lists the
rows; `--seed` plays others, `--round` one again. What every change runs is the same machinery, only less of it, in `tests/`.

A violation is: a write lost that was acknowledged, a write there in part, something deleted that comes back, a database that
cannot be opened, a wrong answer, a signal, a hang. The states of a disk and the oracle: [storage.md](storage.md#crash-states).

## Ours

Violations, and in how many trials; all the counts, with dates, commits and seeds, are [below](#the-counts). `–`: the row is not for
this engine. btree is LMDB, which has no checksums: a flipped bit gives a wrong value or a signal, as its column among the peers says.
So it is tried only where the disk does as it is told.
"""

ROWS = (
    ("kill", "R1", "kill -9 of writers, again and again on one database"),
    ("power", "R2", "power loss at every operation of random stories, in both models of a disk"),
    ("sequences", "R3", "every sequence of up to three of nine steps, from two databases: power loss and death at every operation"),
    ("recovery", "R4", "crashes in recovery, and in the recovery from that"),
    ("faults", "R6, R7, R8", "every operation failed with EIO and ENOSPC, once and for ever; every sync; a disk full at every size, "
                             "then room"),
    ("cuts", "R5", "real power cuts: ext4 and XFS on a loop device, shut down under a writer (FS_IOC_SHUTDOWN), mounted again"),
    ("thin", "R7", "real failures of fsync: a device without the room it promised, then room again, then a power cut"),
    ("damage", "R9, R10, R11", "every bit of every file flipped, every file cut at every length, zeroed, removed, exchanged: a closed "
                               "database, one with a live log, one with two"),
    ("memory", "R12", "every allocation of the compiled core refused, once and for ever; Python's, 120 in each call, once and 30 in a "
                      "row"),
    ("histories", "R13", "what eight threads saw at once, explained by one order (Wing and Gong)"),
    ("clocks", "R22", "rows again by a clock that goes backwards, stands still, jumps by up to ten years"),
    ("options", "R14, R26", "one list of operations under every option set, snapshots and scans held open; all answers equal"),
)

PLANTED = ("planted", "R19", "faults planted in the source, one at a time; each must be noticed by a row or a test")

WANTED = 50_000_000         # inputs to a parser
ENGINES = ("lsm", "pylsm", "hashlog", "btree", "memory")
# what the overview counts of a row, and the counts it is the sum of
COUNTED = {"kill": ("kills", "kills"), "power": ("crash states", "distinct crash states"),
           "sequences": ("states and deaths", "distinct crash states", "killed at operations"),
           "recovery": ("crashes in recovery", "crashes in"), "faults": ("failures", "operations: ", "sizes of a full disk"),
           "cuts": ("power cuts", "power cuts"), "thin": ("failures", "ext4", "xfs"), "damage": ("damages", "damages"),
           "memory": ("refusals", "allocations of"), "histories": ("histories", "histories"),
           "clocks": ("rounds", "rounds by a clock"), "options": ("operations", "operations")}
TOTALS = {"power": "distinct crash states (R2)", "kill": "kills (R1)", "options": "operations (R14)", "damage": "damages (R9 to R11)",
          "cuts": "real power cuts (R5)"}

PEERS_HEAD = """
## Beside the peers

One rig for all, by one command: `python3 run.py rig peers`. Real processes on real files; for power loss their calls are recorded
by a preloaded library, and the states built of the record. That rebuilding it gives the directory byte for byte shows that
nothing went round the record. Ours write their logs by calls here, not through a mapping, so that the recorder sees them.

Defaults of each engine, every write synced; LevelDB and SQLite are also asked with `paranoid_checks`, and `integrity_check`
(strict). A cell tells what was not right of how many tried; `0` is as it should be.
"""

ASKED = (
    ("R1: writers killed", "peer_kill", ""),
    ("R2: crash states, weak POSIX", "peer_power", "weak model: "),
    ("R2: crash states, ext4-like", "peer_power", "ext4 model: "),
    ("R6: one call fails with EIO", "peer_errors", ""),
    ("R7: one sync fails, then power loss", "peer_syncs", ""),
    ("R9: a bit flipped, closed", "peer_damage", "bit flipped: "),
    ("R9: the same, strict", "peer_damage", "bit flipped, strict mode: "),
    ("R9: a bit flipped, live log", "peer_damage", "bit flipped, live log: "),
    ("R9: the same, strict", "peer_damage", "bit flipped, live log, strict mode: "),
    ("R11: a file cut short", "peer_damage", "cut short: "),
    ("R11: a file removed", "peer_damage", "removed: "),
    ("R11: a file zeroed", "peer_damage", "zeroed: "),
)
OUTCOMES = ("right", "told", "cannot be opened or read", "acknowledged writes lost", "contents of no moment", "hangs",
            "dies of a signal", "different when opened again", "silent: wrong by get", "silent: wrong by scan",
            "the writer failed by itself")
FINE = {"right", "told"}

NOTES = """
Notes. LevelDB does not sync the directory after it has renamed `CURRENT`: in the weak model a new database goes on naming its first
manifest, whose bytes were never synced, while writes are acknowledged; its story here is small enough to lie in its log alone,
where a flipped bit, or a cut, drops what follows. LMDB never syncs its directory, so that in the weak model the whole file may be
missing. SQLite with a rollback journal and `synchronous=FULL` does not sync the removal of the journal: the last transaction may be
rolled back (`EXTRA` would). A log that is cut at its end cannot be told from one that a crash tore, so a cut is told of only where
something else knows how much there was: ours is closed without a log. In a live log the last write is not asked for.
"""

FUZZ_HEAD = """
## Parsers, fuzzed (R16)

Inputs to each parser of hostile bytes ([SECURITY](../SECURITY.md) says what is allowed of them): `python -m fuzz` in `tests/`.
Those in C by libFuzzer; those in Python by Atheris, guided by coverage, and by a mutator of our own, guided by outcomes, which tries
twice as many in the time.
"""

DETAILS_HEAD = """
## The counts

A row whose commit is not the newest was not played again since; a + behind a commit: the rig itself was being changed, the engines
were not. Of pylsm, which is slow, one operation in five fails (R6 to R8), and one state in four of the sequences of three steps is
tried (R3). R9 to R11 were played on three databases an engine; the fourth, 64 KiB of prepared tail behind a live log, at one bit in
397. R7 of `thin`: a loop device takes a write cut short for a whole one, so it writes page by page; no store notices a disk that lies.
"""

OTHERS_HEAD = """
## The other rows

| row | where |
|---|---|"""

OTHERS = (
    ("R9 beyond one database",
     "other files, sizes, places: `tests/test_damage.py`, `test_damage_log.py`, `test_table_damage.py`, "
     "`test_log_damage.py`, `test_hashlog_damage.py` (`LSM_FLIPS`, `LSM_LONG`)"),
    ("R15 a machine that shrinks",
     "`tests/test_model.py` (`LSM_MODEL_EXAMPLES`)"),
    ("R17 sanitizers",
     "`run.py sanitize-test`, `run.py thread-test` ([building.md](building.md))"),
    ("R20 forks",
     "`tests/test_fork.py`: `test_every_use_in_the_child_is_an_error_and_the_parent_is_unharmed`, "
     "`test_forks_under_load_never_hang_or_harm`, `test_a_child_that_closes_drops_or_exits_harms_nothing`, "
     "`test_a_living_child_does_not_keep_the_lock_of_a_parent_that_was_killed`"),
    ("R21 locks",
     "`tests/test_lock.py`: `test_of_many_that_race_for_a_database_each_gets_it_alone`, "
     "`test_touching_the_lock_file_from_the_same_process_does_not_free_it`, `test_a_killed_holder_holds_nothing`, "
     "`test_a_lock_file_left_behind_says_nothing`"),
    ("R23 formats",
     "golden files: `tests/test_table_golden.py`, `test_log.py`, `test_manifest.py`, `test_hashlog_format.py`"),
    ("R24 permissions, links, odd paths, empty files, no descriptors left",
     "`tests/test_open.py`: `test_a_directory_without_write_permission_is_named_with_its_errno`, "
     "`test_a_database_on_read_only_ground_opens_read_only`, `test_a_symbolic_link_to_a_database_is_the_database`, "
     "`test_a_path_with_a_zero_byte_is_a_value_error`, `test_any_name_a_directory_can_have_will_do`, "
     "`test_no_file_descriptors_left_is_an_error_and_leaves_the_database_well`; `tests/test_damage.py`: "
     "`test_an_emptied_file_is_noticed`; `tests/test_directory.py`: `test_links_pipes_and_directories_are_refused`"),
    ("R25 failures in the background, exits, Ctrl-C",
     "`tests/test_shaker_errors.py`: `test_any_other_error_makes_the_store_read_only_with_the_cause`; "
     "`tests/test_lifetime.py`: `test_an_interpreter_that_ends_with_an_open_database_ends_cleanly`; "
     "`tests/test_signals.py`: `test_a_handler_that_raises_anywhere_leaves_the_store_whole`, "
     "`test_sigint_during_a_batch_block_rolls_it_back`; `tests/test_signals_engines.py`; `tests/test_close_threads.py`"),
)


def results():
    found = {}
    for path in sorted(FOLDER.glob("*.*.json")):
        result = json.loads(path.read_text())
        found[result["row"], result["engine"]] = result
    return found


def headline(name, result):
    """What a row's cell of the overview counts."""
    label, *prefixes = COUNTED[name]
    return sum(number for of, number in result["counts"].items() if of.startswith(tuple(prefixes))), label


def overview(found):
    lines = [f"| | | {' | '.join(ENGINES)} |", "|---" * (len(ENGINES) + 2) + "|"]
    for name, row, what in ROWS:
        cells = []
        for engine in ENGINES:
            result = found.get((name, engine))
            number, label = headline(name, result) if result else (0, "")
            nothing = "not run" if engine in importlib.import_module(f"rig.{name}").ENGINES else "–"
            cells.append(f"**{result['violations']}** in {number:,} {label}" if result else nothing)
        lines.append(f"| {row} | {what} | {' | '.join(cells)} |")
    total = Counter()
    for (name, _), result in found.items():
        if name in TOTALS:
            total[name] += headline(name, result)[0]
    return [*lines, "", "In all " + ", ".join(f"{total[name]:,} {label}" for name, label in TOTALS.items()) + "."]


def details(found):
    lines = []
    for name, row, what in (*ROWS, PLANTED):
        these = [result for (of, _), result in found.items() if of == name]
        lines += ["", f"**{row}**, {what} (`run.py rig {name}`)" + ("" if these else ": not run"), ""]
        for result in these:
            counts = "; ".join(f"{number:,} {label}" for label, number in result["counts"].items()
                               if not label.startswith("violations"))
            lines.append(f"- {result['engine']}: {counts}. {result['violations']} violations; {result['rounds']} rounds of seed "
                         f"{result['seed']}, commit {result['commit']}, {result['date']}"
                         + "".join(f". {note}: {said}" for note, said in result["notes"].items() if not isinstance(said, dict)))
    return lines


def fuzzed():
    kept = json.loads((FOLDER / "fuzz.json").read_text())
    lines = ["| parser | inputs | of them guided by coverage | violations |", "|---|---|---|---|"]
    lines += [f"| {parser} | {counts['executions']:,}{'' if counts['executions'] >= WANTED else ', not yet 50 million'} | "
              f"{counts['guided']:,} | **{counts['violations']}** |" for parser, counts in kept["counts"].items()]
    return [*lines, "", f"Written down at commit {kept['commit']}, {kept['date']}, of this day's runs."]


def branches():
    kept = json.loads((FOLDER / "branches.json").read_text())
    return (f"| R18 branches of the core | `run.py coverage`, kept by `tests/branches.py --keep`: {kept['taken']:,} of "
            f"{kept['branches']:,} branches of `src/lsm/core` ({kept['taken'] / kept['branches']:.1%}), {kept['run']:,} of "
            f"{kept['lines']:,} lines ({kept['run'] / kept['lines']:.1%}); commit {kept['commit']}, {kept['date']} |")


def cell(result, prefix):
    counts = {label[len(prefix):]: number for label, number in result["counts"].items()
              if label.startswith(prefix) and label[len(prefix):] in OUTCOMES}
    if not counts:
        return "–"
    wrong = {label: number for label, number in counts.items() if label not in FINE}
    told = ", ".join(f"{number:,} {label.removeprefix('silent: ')}" for label, number in wrong.items()) or "0"
    after = result["counts"].get("writes acknowledged after a failed sync", 0)
    if after:
        told = f"{'' if told == '0' else told + '; '}{after:,} writes acknowledged after it"
    return f"{told} of {sum(counts.values()):,}"


def beside(found):
    names = [name for name in PEERS if any((row, name) in found for row in ("peer_kill", "peer_power", "peer_damage"))]
    lines = [f"| | {' | '.join(f'**{name}**' if name in OURS else name for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for title, row, prefix in ASKED:
        cells = [cell(found[row, name], prefix) if (row, name) in found else "not run" for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    commits = sorted({result["commit"] for (row, _), result in found.items() if row.startswith("peer_")})
    dates = sorted(result["date"] for (row, _), result in found.items() if row.startswith("peer_"))
    return lines + (["", f"Seed 0, commits {', '.join(commits)}, {dates[0]} to {dates[-1]} UTC."] if dates else [])


def page():
    found = results()
    others = [f"| {row} | {where} |" for row, where in OTHERS]
    return "\n".join([HEAD, *overview(found), PEERS_HEAD, *beside(found), NOTES, FUZZ_HEAD, *fuzzed(), DETAILS_HEAD, *details(found),
                      OTHERS_HEAD, *others, branches()]) + "\n"


def main():
    PAGE.write_text(page())
    print(f"{PAGE} is written")
    return 0
