"""docs/reliability.md, from the results in docs/reliability/: one table of what was run on ours, one of the peers beside ours.

`--keep docs/reliability` puts a run's result there; what was not run is said to be so.
"""
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

## What was run on our engines
"""

ROWS = (
    ("kill", "R1", "kill -9 of writers, again and again on one database"),
    ("power", "R2", "power loss at every operation of random stories, in both models of a disk"),
    ("sequences", "R3", "every sequence of up to three of nine steps, from two databases: power loss and death at every operation"),
    ("recovery", "R4", "crashes in recovery, and in the recovery from that"),
    ("faults", "R6, R7, R8", "every operation failed with EIO and ENOSPC, once and for ever; every sync; a disk full at every size, "
                             "then room"),
    ("options", "R14, R26", "one list of operations under every option set, snapshots and scans held open; all answers equal"),
    ("planted", "R19", "faults planted in the source; each must be noticed"),
)

TOTALS = {"kill": "kills", "power": "distinct crash states", "options": "operations"}

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

TAIL = """
Notes. LevelDB does not sync the directory after it has renamed `CURRENT`: in the weak model a new database goes on naming its first
manifest, whose bytes were never synced, while writes are acknowledged; its story here is small enough to lie in its log alone,
where a flipped bit, or a cut, drops what follows. LMDB never syncs
its directory, so that in the weak model the whole file may be missing. SQLite with a rollback journal and `synchronous=FULL` does
not sync the removal of the journal: the last transaction may be rolled back (`EXTRA` would). A log that is cut at its end cannot
be told from one that a crash tore, so a cut is told of only where something else knows how much there was: ours is closed without
a log. In a live log the last write is not asked for.

## The other rows

| row | where |
|---|---|
| R5 real power cuts, R7 real failures of fsync on loop devices | not run yet: the models above stand for them |
| R9, R10, R11, R16 damage and fuzzing of ours in full | their own tests and commands: [SECURITY](../SECURITY.md) |
| R12 failed allocations | not run yet |
| R13 concurrent histories | `tests/test_threads.py`, `test_snapshot.py`, `test_batch.py`; no linearizability checker yet |
| R15 a machine that shrinks | `tests/test_model.py` (`LSM_MODEL_EXAMPLES`) |
| R17 sanitizers | `run.py sanitize-test`, `run.py thread-test` ([building.md](building.md)) |
| R19 the first full run | of the core's planted faults 18 of 19 were noticed; the 19th changes nothing, and left the list |
| R18 coverage of branches | not measured yet |
| R20 forks, R21 locks | `tests/test_fork.py`, `tests/test_lock.py` |
| R22 clocks | the core asks the clock only for what it writes down as a date; no test of its own yet |
| R23 formats | golden files: `tests/test_table_golden.py`, `test_log.py`, `test_manifest.py`, `test_hashlog_format.py` |
| R24 permissions, symlinks, odd paths, full tables of descriptors | `tests/test_open.py`, `tests/test_directory.py` |
| R25 failures in the background, exits, Ctrl-C | `tests/test_shaker_errors.py`, `test_signals.py`, `test_lifetime.py` |
"""


def results():
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        result = json.loads(path.read_text())
        found[result["row"], result["engine"]] = result
    return found


def ours(found):
    lines = ["| row | what | engine | counts | violations | rounds, seed | commit, date |", "|---|---|---|---|---|---|---|"]
    total = Counter()
    for name, row, what in ROWS:
        these = [result for (of, _), result in found.items() if of == name]
        for result in these:
            counts = "; ".join(f"{number:,} {label}" for label, number in result["counts"].items()
                               if not label.startswith("violations"))
            lines.append(f"| {row} | {what} | {result['engine']} | {counts} | **{result['violations']}** | {result['rounds']}, "
                         f"{result['seed']} | {result['commit']}, {result['date']} |")
            if name in TOTALS:
                total[TOTALS[name]] += result["counts"][TOTALS[name]]
        if not these:
            lines.append(f"| {row} | {what} | | not run | | | |")
        what = row = ""
    lines += ["", f"In all {total['distinct crash states']:,} distinct crash states (R2), {total['kills']:,} kills (R1), "
              f"{total['operations']:,} operations (R14)."]
    return lines


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
    return "\n".join([HEAD, *ours(found), PEERS_HEAD, *beside(found), TAIL])


def main():
    PAGE.write_text(page())
    print(f"{PAGE} is written")
    return 0
