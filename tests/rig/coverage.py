"""R18: which branches of the compiled core the tests take: a build that counts them, the suites that drive it, and gcov.

Counted are the branches gcc sees in src/lsm/core: of a test with `and` each part, of an assertion the side that ends the process too.
What is not taken is written down by file and line, for who wants to take it.
"""
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rig.planted import copied_tree
from rig.tally import ROOT, Skipped

ROW, ENGINES, ROUNDS, EXHAUSTIVE = "R18", ("core",), 1, True
HELP = "a round: the core built with --coverage (a minute), the suites below (some minutes)"
SUITES = ("arena", "batch", "block", "bloom", "cache", "chunks", "corpus", "crash_engine", "crash_recovery", "cursor", "damage",
          "damage_log", "directory", "fault_engine", "fault_reads", "fault_recovery", "full_disk", "hashlog",
          "hashlog_checkpoint", "hashlog_crash",
          "hashlog_damage", "hashlog_faults", "hashlog_format", "hashlog_opening", "log", "log_damage", "memtable", "merge", "model",
          "multi_get", "prepare", "read_ahead", "retain", "scan", "simulated", "snapshot", "space", "table", "table_damage",
          "table_golden", "threads", "verify", "visible")
SECONDS = 1500


def play(engine, seed, number, tally):
    if shutil.which("gcov") is None:
        raise Skipped("gcov is not installed")
    with tempfile.TemporaryDirectory(prefix="lsm-coverage-") as place:
        place = copied_tree(Path(place))
        setup = place / "setup.py"
        setup.write_text(setup.read_text().replace("cythonize(", "cythonize(emit_linenums=True, module_list=", 1)
                         .replace('"-O3", "-g1"', '"-O0", "--coverage"'))
        done = subprocess.run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=place, capture_output=True, text=True,
                              env={**os.environ, "LDFLAGS": "--coverage"})
        if done.returncode:
            raise Skipped(f"the core could not be built with coverage: {done.stderr[-600:]}")
        files = [str(path) for name in SUITES if (path := ROOT / "tests" / f"test_{name}.py").exists()]
        try:
            done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "600", *files],
                                  cwd=ROOT, env={**os.environ, "PYTHONPATH": str(place / "src")},
                                  capture_output=True, text=True, timeout=SECONDS)
            tally.note("suites", done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:])
        except subprocess.TimeoutExpired:
            tally.note("suites", f"cut off after {SECONDS} s")
        counted(place, tally)


def counted(place, tally):
    """Read what gcov makes of it."""
    data = next(place.rglob("*.gcda"), None)
    if data is None:
        return tally.violation("coverage", "nothing was counted")
    subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--object-directory", str(data.parent), str(data)], cwd=place,
                   check=True, capture_output=True)
    told = json.loads(gzip.open(next(place.glob("*.gcov.json.gz"))).read())
    files, missed = {}, {}
    for file in told["files"]:
        name = Path(file["file"])
        if name.parent.name != "core" or name.suffix not in (".pxd", ".h"):
            continue
        branches, lines = files.setdefault(name.name, (Counter(), Counter()))
        for line in file["lines"]:
            lines[line["line_number"]] += line["count"]
            for at, branch in enumerate(line["branches"]):
                branches[line["line_number"], at] += branch["count"]
    for name, (branches, lines) in sorted(files.items()):
        tally.count("branches", len(branches))
        tally.count("branches taken", sum(count > 0 for count in branches.values()))
        tally.count("lines", len(lines))
        tally.count("lines reached", sum(count > 0 for count in lines.values()))
        missed[name] = sorted(line for line, count in lines.items() if not count)
    if tally.counts["branches"]:
        tally.note("percent of branches", round(100 * tally.counts["branches taken"] / tally.counts["branches"], 1))
        tally.note("percent of lines", round(100 * tally.counts["lines reached"] / tally.counts["lines"], 1))
        tally.note("lines not reached", {name: lines for name, lines in missed.items() if lines})
