"""Step: a writing process is killed at random moments, and nothing it was told is written is missing.

The child (writer.py) acknowledges batches through a pipe; the parent kills it with SIGKILL, which no program can
catch, then reads what is left in the pipe. What is recovered must be a whole number of batches, none missing in
between, and not fewer than were acknowledged: one more may be there, written but not yet said.
"""
import random
import subprocess
import sys
from pathlib import Path

import lsm
from lsm.cli.tour import writer
from lsm.cli.tour.guide import BrokenPromise, Guide


def kill_a_writer(guide: Guide, place: Path, rounds: int) -> None:
    guide.step("Crash", "A writing process is killed with SIGKILL; all that was acknowledged is there, batches whole.")
    recovered = 0
    for _ in range(rounds):
        acknowledged = write_and_kill(place, recovered, random.randrange(20, 3000))
        before, recovered = recovered, recover(guide, place)
        guide.check(recovered >= acknowledged, f"{acknowledged:,} batches were acknowledged, {recovered:,} recovered")
        guide.check(recovered <= acknowledged + 1, "nothing that was never written appears")
        guide.tell(
            f"killed after {acknowledged - before:,} more batches: {acknowledged:,} acknowledged,"
            f" {recovered:,} recovered, all whole"
        )


def write_and_kill(place: Path, first: int, enough: int) -> int:
    """Let the child write batches from `first`, kill it once so many are acknowledged; how many are in all."""
    command = [sys.executable, "-m", writer.__name__, str(place), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        try:
            said = [child.stdout.readline() for _ in range(enough)]
        finally:
            child.kill()
        said += child.stdout.read().splitlines(keepends=True)
        complaint = child.stderr.read().decode(errors="replace").strip()
    numbers = [int(line) for line in said if line.endswith(b"\n")]
    if len(numbers) < enough:
        raise BrokenPromise(f"the writing process ended by itself: {complaint or 'without a word'}")
    return numbers[-1] + 1


def recover(guide: Guide, place: Path) -> int:
    """Open what the killed process left, check it row by row; how many batches there are."""
    with lsm.open(place) as db:
        found = list(db.scan())
    batches, torn = divmod(len(found), writer.ROWS)
    guide.check(not torn, "every batch is there whole or not at all")
    expected = [row for number in range(batches) for row in writer.rows(number)]
    guide.check(found == expected, "what is recovered is a prefix of what was written, value for value")
    return batches
