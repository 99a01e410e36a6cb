"""R22: other rows again under a clock that goes backwards, stands still, or is up to ten years off at each look.

A library preloaded into their process answers for the system. Nothing inside the engines may be decided by the time of day: so these
rows, which check contents, recovery and answers, must find what they find by a good clock: nothing wrong.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rig.recorder import compiled
from rig.subjects import SUBJECTS
from rig.tally import ROOT

ROW, ENGINES, EXHAUSTIVE = "R22", tuple(SUBJECTS), True
CLOCKS = ("back", "frozen", "jumps")
AGAIN = ("power", "recovery", "kill")
COUNTED = ("distinct crash states", "crashes in recovery", "kills")
ROUNDS = len(CLOCKS) * len(AGAIN)
HELP = "a round: one round of power, recovery or kill by one of three clocks"
PROOF = "import time, lsm; a = time.time(); b = time.time(); assert b < a or a == b == 1e9 or abs(a - b) > 1e4; print('wrong clock')"


def play(engine, seed, number, tally):
    clock, row = CLOCKS[number % len(CLOCKS)], AGAIN[number // len(CLOCKS)]
    import lsm
    with tempfile.TemporaryDirectory(prefix="lsm-rig-") as place:
        library = compiled(Path(__file__).with_name("clocks.c"), place)
        environment = {**os.environ, "LD_PRELOAD": str(library), "LSM_CLOCK": clock,
                       "PYTHONPATH": os.pathsep.join([str(Path(lsm.__file__).parent.parent), str(ROOT / "tests")])}
        subprocess.run([sys.executable, "-c", PROOF], env=environment, check=True, timeout=60, capture_output=True)
        done = subprocess.run([sys.executable, "-m", "rig", row, "--engine", engine, "--rounds", "1", "--seed", f"{clock} {seed}",
                               "--keep", place], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=3000)
        kept = Path(place) / f"{row}.{engine}.json"
        counts = json.loads(kept.read_text())["counts"] if kept.exists() else {}
    if done.returncode or "DONE" not in done.stdout:
        tally.violation(f"{row} by a clock: {clock}", (done.stdout + done.stderr)[-1500:])
        return
    tally.count(f"rounds by a clock: {clock}")
    for what in COUNTED:
        if what in counts:
            tally.count(what, counts[what])
