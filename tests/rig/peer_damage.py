"""R9, R11 beside the peers: bits flipped, files cut short, removed and zeroed, in a closed database and in one with a live log.

An engine may answer rightly or tell of damage. It may not answer wrongly, die, or hang. In a live log the last batch is not asked
for: nothing that follows tells whether it was whole.
"""
import random
from pathlib import Path

from rig.nursery import trying
from rig.peer_power import history, lay_out
from rig.peers import OURS, PEERS

ROW, ENGINES, ROUNDS = "R9, R11", tuple(PEERS), 1
HELP = "a round: 500 bits flipped in a closed database, 500 in one with a live log, 200 files cut, each removed and zeroed"
BATCHES, FLIPS, CUTS = 120, 500, 200


def make(name, seed, place, close):
    """In a child: a database of the story."""
    Path(place).mkdir()
    store = PEERS[name](place)
    for changes in history(seed)[0][:BATCHES]:
        store.write(changes)
    if close:
        store.close()


def question(name, seed, place, least, paranoid):
    """In a child: every way of reading, against the moments from `least` on."""
    moments = history(seed)[1][least:BATCHES + 1]
    keys = sorted({key for moment in history(seed)[1] for key in moment})
    store = PEERS[name](place, paranoid)
    found = {key: value for key in keys if (value := store.get(key)) is not None}
    if found not in moments:
        return "silent: wrong by get"
    if store.items() not in moments:
        return "silent: wrong by scan"
    if paranoid:
        store.verify()
    return "right"


def files_of(place):
    return {file.name: file.read_bytes() for file in sorted(Path(place).iterdir())
            if file.is_file() and not file.name.startswith(("LOG", "LOCK", "lock.mdb")) and not file.name.endswith("-shm")}


def damages(files, rng, live):
    """(kind, name, the file's damaged bytes or None)."""
    names = [name for name in files if files[name]]
    weights = [len(files[name]) for name in names]
    for _ in range(FLIPS):
        name = rng.choices(names, weights)[0]
        data = bytearray(files[name])
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield "bit flipped, live log" if live else "bit flipped", name, bytes(data)
    if live:
        return
    for _ in range(CUTS):
        name = rng.choices(names, weights)[0]
        yield "cut short", name, files[name][:rng.randrange(len(files[name]))]
    for name in names:
        yield "removed", name, None
        yield "zeroed", name, bytes(len(files[name]))


def play(engine, seed, number, tally):
    seed = f"peers {seed} {number}"
    with trying(engine) as (nursery, place):
        for live in (False, True):
            nursery.ask(__name__, "make", engine, seed, str(place / f"db{live}"), not live)
            files, rng = files_of(place / f"db{live}"), random.Random(f"{seed} {live}")
            for kind, name, data in damages(files, rng, live):
                for paranoid in (False, True) if engine in ("leveldb", "sqlite-wal", "sqlite-delete") else (False,):
                    lay_out(place / "damaged", {**files, name: data} if data is not None
                            else {other: files[other] for other in files if other != name})
                    answer = nursery.ask(__name__, "question", engine, seed, str(place / "damaged"),
                                         BATCHES - 1 if live else BATCHES, paranoid)
                    outcome = {"answer": answer[1], "raised": "told", "signal": "dies of a signal", "hang": "hangs"}[answer[0]]
                    tally.count(f"{kind}{', strict mode' if paranoid else ''}: {outcome}")
                    if engine in OURS and outcome not in ("right", "told"):
                        tally.violation(kind, f"{name}: {answer}")
