"""R19: the rig tried on itself: faults are planted one at a time in a copy of the source, and each must be noticed.

Before that, nothing planted must be noticed. A fault that nobody notices is the violation of this row.
"""
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rig.faultlist import OF_CORE, OF_PYTHON
from rig.tally import ROOT, Skipped

ROW, EXHAUSTIVE = "R19", True
ENGINES = ("python", "core")        # where the fault is planted
ROUNDS = max(len(OF_PYTHON), len(OF_CORE)) + 1
HELP = "a round: one fault, round 0 none; those of the core are built once, all together"
LISTS = {"python": OF_PYTHON, "core": OF_CORE}
SWITCH = """#include <stdlib.h>
static inline int lsm_planted(int number) {
    const char *chosen = getenv("LSM_PLANTED");
    return chosen != NULL && atoi(chosen) == number;
}
"""
DECLARED = 'cdef extern from "planted.h" nogil:\n    bint lsm_planted(int number)\n\n'
QUIET = {"PYTHONFAULTHANDLER": "", "PYTHONDONTWRITEBYTECODE": "1"}


def replaced(text, fault, number=0):
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.file} has moved on: {fault.name!r} finds its place {text.count(fault.old)} times")
    return text.replace(fault.old, fault.new.replace("PLANT", str(number)))


def copied(place):
    """The package as it runs here, its extension included."""
    import lsm
    shutil.copytree(Path(lsm.__file__).parent, place / "lsm", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def copied_tree(place):
    """What it takes to build the package, without what was built."""
    for name in ("src", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("*.so", "__pycache__")) if source.is_dir() \
            else shutil.copy(source, place / name)
    return place


@functools.cache
def core_with_switches():
    """One build with every fault of the core in it; the path of its package."""
    place = copied_tree(Path(tempfile.mkdtemp(prefix="lsm-planted-")))
    package = place / "src" / "lsm"
    (package / "core" / "planted.h").write_text(SWITCH)
    for number, fault in enumerate(OF_CORE, 1):
        path = package / fault.file
        text = replaced(path.read_text(), fault, number)
        if "planted.h" not in text and path.suffix == ".pxd":
            at = text.index("\nfrom ") + 1
            text = text[:at] + DECLARED + text[at:]
        path.write_text(text)
    main = package / "_core.pyx"
    text = main.read_text()
    at = text.index("\ninclude ") + 1
    main.write_text(text[:at] + DECLARED + text[at:])
    print("planted core: building", flush=True)
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=place, capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"the core with its faults could not be built: {done.stderr[-600:]}")
    return place / "src"


def noticed(by, rounds, source, number=0):
    """Does this row, or do these tests, notice anything in the package at `source`? (whether, what was said) It is noticed by a
    violation, a test that fails, a death or a hang; what could not even begin has noticed nothing.
"""
    path = os.pathsep.join([str(source), str(ROOT / "tests")])
    if len(by) == 2 and not by[0].startswith("tests/"):
        command = [sys.executable, "-m", "rig", by[0], "--engine", by[1], "--rounds", str(rounds), "--first"]
    else:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *by]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900,
                              env={**os.environ, **QUIET, "PYTHONPATH": path, "LSM_PLANTED": str(number)})
    except subprocess.TimeoutExpired:
        return True, "it hangs"
    said = (done.stdout + done.stderr)[-1500:]
    return done.returncode < 0 or (done.returncode == 1 and ("VIOLATION" in done.stdout or " failed" in said)), said


def play(engine, seed, number, tally):
    faults = LISTS[engine]
    if number > len(faults):
        return
    if engine == "core":
        return try_one(engine, faults, number, tally, core_with_switches())
    with tempfile.TemporaryDirectory(prefix="lsm-planted-") as place:
        source = copied(Path(place))
        if number:
            path = source / "lsm" / faults[number - 1].file
            path.write_text(replaced(path.read_text(), faults[number - 1]))
        try_one(engine, faults, number, tally, source)


def try_one(engine, faults, number, tally, source):
    if number == 0:
        for by, rounds in {fault.by: fault.rounds for fault in faults}.items():
            found, said = noticed(by, 1 if rounds < 5 else 2, source)
            tally.count("watches that see nothing where nothing is")
            if found:
                tally.violation("seen where nothing was planted", f"{by}: {said}")
        return
    fault = faults[number - 1]
    found, said = noticed(fault.by, fault.rounds, source, number if engine == "core" else 0)
    tally.count("planted")
    if found:
        tally.count("noticed")
    else:
        tally.violation("not noticed", f"{fault.name} ({fault.file}), by {fault.by}: {said[-300:]}")
