"""What a row has found out: counts by name, violations, and what could not be tried here. Printed on the way, kept as JSON.

A violation is told at once, with the command that repeats its round; the row goes on, so that one does not hide another.
Thread rule: one thread counts.
"""
import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHOWN = 20              # violations that are kept with their text; all are counted
PROGRESS = 10           # seconds between two lines of progress
HANG, GRACE = 120, 30   # seconds after which what takes a fraction of one is taken for a hang; to hear of that


class Skipped(Exception):
    """This machine cannot do it: the message says what it lacks."""


class Enough(Exception):
    """One violation was asked for, and found."""


class Hang(BaseException):
    """It did not end."""


@contextlib.contextmanager
def ending(tally):
    """Raise Hang in what is done inside and does not end; where that is caught, or not heard of, the row ends, and says so."""
    def too_long(*_):
        signal.signal(signal.SIGALRM, lambda *_: end_of_the_row(tally))
        signal.alarm(GRACE)
        raise Hang(f"not done after {HANG} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def end_of_the_row(tally):
    faulthandler.dump_traceback()
    tally.say(f"VIOLATION (hangs): not done {GRACE} s after it was interrupted\n    again: {tally.command()} --round {tally.round}")
    os._exit(1)


class Tally:
    def __init__(self, row, engine, seed, quiet=False, first=False):
        self.row, self.engine, self.seed, self.quiet, self.first = row, engine, seed, quiet, first
        self.counts, self.violations, self.skipped, self.notes = Counter(), [], [], {}
        self.round, self.wrong = None, 0
        self.begun, self.told = time.monotonic(), time.monotonic()
        self.seen = set()

    def count(self, what, number=1):
        self.counts[what] += number
        if not self.quiet and time.monotonic() - self.told > PROGRESS:
            self.told = time.monotonic()
            self.say(self.summary())

    def distinct(self, what, identity):
        """Count it when nothing with this identity was counted before."""
        found = hash(identity)
        if found not in self.seen:
            self.seen.add(found)
            self.count(what)

    def note(self, what, value):
        """A figure that is no count: a share, a version."""
        self.notes[what] = value

    def skip(self, reason):
        if reason not in self.skipped:
            self.skipped.append(reason)
            self.say(f"SKIPPED: {reason}")

    def violation(self, kind, text):
        self.wrong += 1
        self.counts[f"violations: {kind}"] += 1
        if len(self.violations) < SHOWN:
            self.violations.append({"kind": kind, "round": self.round, "what": text[:2000]})
            self.say(f"VIOLATION ({kind}): {text[:2000]}\n    again: {self.command()} --round {self.round}")
        if self.first:
            raise Enough

    @contextlib.contextmanager
    def watching(self, kind, context=""):
        """What is raised inside is a violation; `context` may be a function that tells more."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, Skipped, Enough):
            raise
        except BaseException as error:
            told = context() if callable(context) else context
            at = traceback.extract_tb(error.__traceback__)[-1]
            self.violation(kind, f"{type(error).__name__}: {error} ({at.name}, {Path(at.filename).name}:{at.lineno}) {told}")

    def command(self):
        return f"python3 run.py rig {self.row} --engine {self.engine} --seed {self.seed}"

    def summary(self):
        figures = ", ".join(f"{what} {number:,}" for what, number in sorted(self.counts.items()))
        return f"{figures or 'nothing yet'}; {self.wrong} violations; {self.seconds():.0f} s"

    def seconds(self):
        return time.monotonic() - self.begun

    def say(self, text):
        print(f"{self.row} {self.engine}: {text}", flush=True)

    def record(self, rounds):
        return {
            "row": self.row, "engine": self.engine, "seed": self.seed, "rounds": rounds, "commit": commit(),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"), "python": sys.version.split()[0],
            "seconds": round(self.seconds()), "counts": dict(sorted(self.counts.items())), "notes": self.notes,
            "violations": self.wrong, "first": self.violations, "skipped": self.skipped,
        }

    def keep(self, folder, rounds):
        """Written anew whenever asked: what a run that is cut short has found is kept too."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.row}.{self.engine}.json"
        path.write_text(json.dumps(self.record(rounds), indent=1) + "\n")
        return path


def commit():
    """What is being tested; with a + when the tree has changes of its own."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "tests")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("+" if changed else "")
