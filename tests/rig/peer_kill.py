"""R1 beside the peers: writing processes are ended by an alarm at a random moment; what the next one finds.

Nobody catches the signal, so that the process ends between any two instructions, as by kill -9.
"""
import os
import random
import signal

from crash_engine import GONE, random_changes
from rig.nursery import trying
from rig.peer_power import judge, outcome_of
from rig.peers import PEERS

ROW, ENGINES, ROUNDS = "R1", tuple(PEERS), 1
HELP = "a round: 200 writers ended one after another on one database"
LIVES = 200


def changes_of(seed, number):
    return random_changes(random.Random(f"{seed}:{number}"), number)


def write_on(name, seed, place, told, number, seconds, opened):
    """In a child: batches from `number` on, each noted in the file `told` when it begins and when it is acknowledged.

    The alarm is set before the store is opened, or after it was `opened`.
    """
    notes = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if not opened:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    store = PEERS[name](place)
    if opened:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    while True:
        changes = changes_of(seed, number)
        os.write(notes, b"s")
        store.write(changes)
        os.write(notes, b"a")
        number += 1


def find(name, place, models):
    """In a child: which of these models the store holds, the last first."""
    store = PEERS[name](place)
    contents = store.items()
    store.verify()
    return next((number for number in range(len(models) - 1, -1, -1) if models[number] == contents), None)


def play(engine, seed, number, tally):
    seed = f"peers {seed} {number}"
    rng, known, model = random.Random(seed), 0, {}
    with trying(engine) as (nursery, place):
        path, told = place / "db", place / "told"
        path.mkdir()
        for life in range(LIVES):
            kind, what = nursery.ask(__name__, "write_on", engine, seed, str(path), str(told), known + 1,
                                     rng.uniform(0.001, 0.05), rng.random() < 0.7)
            if (kind, what) != ("signal", signal.SIGALRM):
                judge(engine, tally, "the writer failed by itself", False, f"life {life}: {kind} {what}")
                break
            notes = told.read_bytes() if told.exists() else b""
            models = [model]
            for more in range(notes.count(b"s")):
                after = {**models[-1], **changes_of(seed, known + 1 + more)}
                models.append({key: value for key, value in after.items() if value is not GONE})
            lo = notes.count(b"a")
            answer = nursery.ask(__name__, "find", engine, str(path), models)
            tally.count("kills")
            if answer[0] != "answer" or answer[1] is None or answer[1] < lo:
                outcome = outcome_of(answer) if answer[0] != "answer" else "acknowledged writes lost" if answer[1] is not None \
                    else "contents of no moment"
                judge(engine, tally, outcome, False, f"life {life}: {answer}, {lo} of {len(models) - 1} acknowledged")
                break
            tally.count("right")
            known, model = known + answer[1], models[answer[1]]
        tally.count("batches found again", known)
