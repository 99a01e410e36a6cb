"""R2 beside the peers: the calls of a real process are recorded, and every state a power cut may leave of them is opened.

One story of synced batches for every engine; its calls, seen by the recorder, make the journal of which tests/crash.py builds the
states. Each state is opened in a process of its own: contents are those after p batches, p between the last acknowledged and the
last started; it can be written to, and is the same after another opening.
"""
import random
import shutil
from pathlib import Path

import crash
from crash_engine import random_changes
from rig import recorder
from rig.nursery import trying
from rig.peers import GONE, OURS, PEERS

ROW, ENGINES, ROUNDS = "R2", tuple(PEERS), 1
HELP = "a round: 120 synced batches recorded, up to 700 states of them in each model"
BATCHES, MOST = 120, 700
INFORMATION = "LOG"             # what LevelDB and RocksDB write for people, "LOG.old.1" too: no state of the database


def history(seed, batches=BATCHES):
    """What each batch does, and what the store then holds, the empty one first."""
    rng, changes, models = random.Random(seed), [], [{}]
    for number in range(1, batches + 1):
        changes.append(random_changes(rng, number))
        model = {**models[-1], **changes[-1]}
        models.append({key: value for key, value in model.items() if value is not GONE})
    return changes, models


def record_story(name, seed, place, log):
    """In a child: the story, its marks among the recorded calls. Answers how many calls there were."""
    seen = recorder.Recorder()
    Path(place).mkdir()
    seen.start(place, log)
    store = PEERS[name](place)
    for number, changes in enumerate(history(seed)[0], 1):
        seen.mark("started", number)
        store.write(changes)
        seen.mark("synced", number)
    store.close()
    return seen.steps


def look(name, seed, place, lo, hi):
    """In a child: the oracle on the files at `place`: what is wrong, or ''."""
    models = history(seed)[1]
    store = PEERS[name](place)
    contents = store.items()
    matching = [p for p in range(hi, lo - 1, -1) if models[p] == contents]
    if not matching:
        earlier = [p for p in range(lo) if models[p] == contents]
        return "acknowledged writes lost" if earlier else "contents of no moment"
    store.verify()
    store.write({b"after": b"the crash"})
    store.close()
    store = PEERS[name](place)
    return "" if store.items() == {**contents, b"after": b"the crash"} else "different when opened again"


def recorded(nursery, name, seed, place):
    """The journal of the story, and the files it left."""
    outcome = nursery.ask(__name__, "record_story", name, seed, str(place / "db"), str(place / "log"), hang=120)
    if outcome[0] != "answer":
        raise AssertionError(f"the story itself: {outcome}")
    files = {file.name: file.read_bytes() for file in (place / "db").iterdir() if file.is_file()}
    return recorder.journal(place / "log"), files


def faithful(journal, files, unseen):
    """Nothing went round the record: rebuilt from the calls, the directory is what it is, byte for byte."""
    disk = crash.Disk("weak")
    for operation in journal:
        disk.take(operation)
    rebuilt = disk.files({change.number for change in disk.pending()}, 0)
    differing = [name for name in rebuilt.keys() | files.keys() if rebuilt.get(name) != files.get(name)]
    assert set(differing) <= unseen, f"not as recorded: {sorted(set(differing) - unseen)}"


def outcome_of(answer):
    kind, what = answer
    if kind == "answer":
        return what or "right"
    return {"raised": "cannot be opened or read", "hang": "hangs", "signal": "dies of a signal"}[kind]


def play(engine, seed, number, tally):
    seed = f"peers {seed} {number}"             # the same story for every engine
    with trying(engine) as (nursery, place):
        journal, files = recorded(nursery, engine, seed, place)
        with tally.watching("round the record"):
            faithful(journal, files, recorder.unseen(place / "log"))
        tally.count("calls recorded", len(journal))
        scratch = place / "state"
        for model in ("weak", "ext4"):
            for state in some(crash.states(journal, model), MOST, tally):
                lay_out(scratch, state.files)
                answer = nursery.ask(__name__, "look", engine, seed, str(scratch), *state.bounds)
                judge(engine, tally, f"{model} model: {outcome_of(answer)}", outcome_of(answer) == "right",
                      f"{answer} [{model} model, before operation {state.point}, {state.description}, {state.bounds}]")


def some(states, most, tally):
    """Up to `most` of the states, the same ones each time, evenly; those that differ in what is written for people alone are one."""
    promised, found = {}, []
    for state in states:
        files = {name: data for name, data in state.files.items() if not name.startswith(INFORMATION)}
        key = crash.digest(files)
        if promised.get(key, -1) < state.bounds[0]:
            promised[key] = state.bounds[0]
            found.append(state._replace(files=files))
    tally.count("states there are", len(found))
    step = max(1, len(found) / most)
    return [found[int(number * step)] for number in range(min(len(found), most))]


def lay_out(scratch, files):
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name, data in files.items():
        (scratch / name).write_bytes(data)


def judge(engine, tally, outcome, right, text):
    """Ours must be right; of the others it is told how they fared."""
    tally.count(outcome)
    if not right and engine in OURS:
        tally.violation("beside the peers", text)
    elif not right and len(tally.notes) < 12:
        tally.notes.setdefault(f"first: {outcome}", text[:300])
