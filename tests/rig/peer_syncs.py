"""R7 beside the peers: one sync of the story fails with EIO, each in turn; the engine is asked to go on, then the power goes.

A write acknowledged after a failed sync is a promise on pages that the kernel has marked clean: counted. Then every state the
power cut may leave (what was pending when the sync failed stays uncertain for ever) must hold every write that was acknowledged.
"""
import errno
from pathlib import Path

import crash
from rig import recorder
from rig.nursery import trying
from rig.peer_power import judge, lay_out, outcome_of, some
from rig.peers import PEERS
from rig.tally import Tally

ROW, ENGINES, ROUNDS = "R7", tuple(PEERS), 1
HELP = "a round: 40 synced writes, each of up to 20 syncs fails in turn, then up to 12 states each in both models"
WRITES, SYNCS, MOST = 40, 20, 12


def rows(number):
    """What write `number` puts: keys of its own, so that each can be looked for by itself."""
    return {b"key %04d.%d" % (number, part): b"%d" % number * 200 for part in range(3)}


def go_on(name, place, log, after):
    """In a child: every write is tried, whatever became of the one before. Answers how many syncs there were."""
    seen = recorder.Recorder()
    Path(place).mkdir()
    seen.start(place, log, errno.EIO, after, "sync")
    try:
        store = PEERS[name](place)
    except Exception:
        return
    for number in range(1, WRITES + 1):
        seen.mark("started", number)
        try:
            store.write(rows(number))
        except Exception:
            seen.mark("refused", number)
        else:
            seen.mark("synced", number)


def look_for(name, place, numbers):
    """In a child: are these writes there?"""
    contents = PEERS[name](place).items()
    lost = [number for number in numbers if any(contents.get(key) != value for key, value in rows(number).items())]
    return f"acknowledged writes lost, {lost[0]} the first of {len(lost)}" if lost else ""


def play(engine, seed, number, tally):
    with trying(engine) as (nursery, place):
        nursery.ask(__name__, "go_on", engine, str(place / "clean"), str(place / "log"), -1)
        syncs = sum(o.kind in ("sync", "sync_directory") for o in recorder.journal(place / "log"))
        stride = max(1.0, syncs / SYNCS)
        for after in sorted({int(at * stride) for at in range(min(syncs, SYNCS))}):
            log = place / f"log{after}"
            outcome = nursery.ask(__name__, "go_on", engine, str(place / f"db{after}"), str(log), after)
            tally.count("syncs failed")
            if outcome[0] != "answer":
                judge(engine, tally, f"the failing process {outcome_of(outcome)}", False, f"{outcome} [sync {after}]")
            journal = recorder.journal(log)
            one_by_one(engine, nursery, journal, place / "state", tally, f"[sync {after} of {syncs}]")


def one_by_one(engine, nursery, journal, scratch, tally, how):
    failed = next((at for at, o in enumerate(journal) if o.result and o.kind in ("sync", "sync_directory")), len(journal))
    promised = [(at, o.offset) for at, o in enumerate(journal) if o.kind == "mark" and o.name == "synced"]
    begun = [o.offset for o in journal[:failed] if o.kind == "mark" and o.name == "started"]
    after = [number for at, number in promised if at > failed and number > (begun[-1] if begun else 0)]
    if any(at > failed and begun and number == begun[-1] for at, number in promised):
        tally.count("acknowledged though a sync failed while it was written")
    tally.count("writes acknowledged after a failed sync", len(after))
    quiet = Tally("", "", 0, quiet=True)
    for model in ("weak", "ext4"):
        for state in some(crash.states(journal, model, start=len(journal)), MOST, quiet):
            lay_out(scratch, state.files)
            answer = nursery.ask(__name__, "look_for", engine, str(scratch), [number for _, number in promised])
            outcome = outcome_of(answer).partition(",")[0]
            judge(engine, tally, outcome, outcome == "right", f"{answer} {how}, {model}, {state.description}")
