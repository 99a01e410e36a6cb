"""R6 beside the peers: one call to the operating system fails with EIO, at each place of a story, once and from then on.

The story stops at the first error its engine raises, or goes on to its end when there is none; the process ends without closing.
What another one then finds holds all that was acknowledged, and is a moment of the story.
"""
import errno
from pathlib import Path

from crash import bounds
from rig import recorder
from rig.nursery import trying
from rig.peer_power import history, judge, outcome_of
from rig.peers import PEERS

ROW, ENGINES, ROUNDS = "R6", tuple(PEERS), 1
HELP = "a round: a story of 30 batches, in which up to 120 calls fail in turn, once and from then on"
BATCHES, MOST = 30, 120


def fail_story(name, seed, place, log, after, sticky):
    """In a child. Answers (calls, what was raised or '')."""
    seen = recorder.Recorder()
    Path(place).mkdir()
    seen.start(place, log, errno.EIO, after, None, sticky)
    try:
        store = PEERS[name](place)
        for number, changes in enumerate(history(seed)[0][:BATCHES], 1):
            seen.mark("started", number)
            store.write(changes)
            seen.mark("synced", number)
        store.close()
    except Exception as error:
        return seen.steps, f"{type(error).__name__}: {error}"
    return seen.steps, ""


def play(engine, seed, number, tally):
    seed = f"peers {seed} {number}"
    with trying(engine) as (nursery, place):
        steps = nursery.ask(__name__, "fail_story", engine, seed, str(place / "clean"), str(place / "log"), -1, False)[1][0]
        stride = max(1.0, steps / MOST)
        for after in sorted({int(at * stride) for at in range(min(steps, MOST))}):
            for sticky in (False, True):
                path, log = place / f"db{after}{sticky}", place / f"log{after}{sticky}"
                kind, what = nursery.ask(__name__, "fail_story", engine, seed, str(path), str(log), after, sticky)
                tally.count("calls failed")
                how = f"[call {after} of {steps}, {'from then on' if sticky else 'once'}]"
                if kind != "answer":
                    judge(engine, tally, f"the failing process {outcome_of((kind, what))}", False, f"{kind} {what} {how}")
                lo, hi = bounds(recorder.journal(log))
                answer = nursery.ask("rig.peer_power", "look", engine, seed, str(path), lo, hi)
                judge(engine, tally, outcome_of(answer), outcome_of(answer) == "right", f"{answer} {(lo, hi)} {how}")
