"""R13: what many threads saw at once, explained by one order of all of it, in which each call lies between its begin and its end.

Eight threads write, read one key, several keys, all keys, and batches, on very few keys, while another flushes and compacts.
After each dozen calls they meet, and the history since is searched for such an order (Wing and Gong's way: of the calls that
may be next, one whose answer fits; places already tried are remembered). It must begin at what was there, and end at what
is there. No order means that an answer was stale, or a batch seen in part. `multi_get` looks at one moment in the engines that
have one of their own; in memory and btree it is one get after another (docs/engines.md).
"""
import itertools
import random
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import lsm
from engines import OTHERS
from rig.power import switching_often

ROW, ENGINES, ROUNDS = "R13", ("lsm", "pylsm", "hashlog", "memory", "btree"), 2
HELP = "a round: eight threads, 120 histories of 12 calls each"
THREADS, CALLS, HISTORIES = 8, 12, 120
KEYS = (b"a", b"b", b"c")
TINY = {"memtable_bytes": 4096, "block_bytes": 64, "table_bytes": 4096, "block_cache_bytes": 4096}
OPTIONS = {"lsm": TINY, "pylsm": {"engine": "pylsm", **TINY}, "hashlog": {"engine": "hashlog", "file_bytes": 4096}}
AT_ONE_MOMENT = ("lsm", "pylsm", "hashlog")
KINDS = {"put": 5, "delete": 1, "batch": 3, "get": 5, "multi_get": 3, "scan": 3, "snapshot": 2}


class Call(NamedTuple):
    begin: int
    end: int
    changes: dict       # what it writes
    seen: dict          # what it read: key -> value or None


def one_call(db, kind, rng, unique):
    """(changes, seen)"""
    keys = rng.sample(KEYS, rng.randrange(1, len(KEYS) + 1))
    if kind == "put":
        change = {keys[0]: unique}
        db.put(keys[0], unique, sync=rng.random() < 0.1)
        return change, {}
    if kind == "delete":
        db.delete(keys[0])
        return {keys[0]: None}, {}
    if kind == "batch":
        changes = {key: None if rng.random() < 0.3 else unique + key for key in keys}
        with db.write_batch(sync=rng.random() < 0.1) as batch:
            for key, value in changes.items():
                batch.delete(key) if value is None else batch.put(key, value)
        return changes, {}
    if kind == "get":
        return {}, {keys[0]: db.get(keys[0])}
    if kind == "multi_get":
        return {}, dict(zip(keys, db.multi_get(keys), strict=True))
    if kind == "scan":
        found = dict(db.scan(reverse=rng.random() < 0.5))
    else:
        with db.snapshot() as snapshot:
            found = {key: snapshot.get(key) for key in KEYS}
    return {}, {key: found.get(key) for key in KEYS}


def explained(start, calls, end):
    """Is there an order? `calls`: those of each thread, in its order. States are tuples by KEYS."""
    tried, stack = set(), [((0,) * len(calls), start)]
    while stack:
        place = stack.pop()
        if place in tried:
            continue
        tried.add(place)
        at, state = place
        following = [own[i] if i < len(own) else None for own, i in zip(calls, at, strict=True)]
        first_end = min((call.end for call in following if call is not None), default=None)
        if first_end is None:
            if state == end:
                return True
            continue
        for thread, call in enumerate(following):
            if (call is not None and call.begin < first_end
                    and all(state[KEYS.index(key)] == value for key, value in call.seen.items())):
                after = tuple(call.changes.get(key, value) for key, value in zip(KEYS, state, strict=True))
                stack.append((tuple(i + (of == thread) for of, i in enumerate(at)), after))
    return False


def present(db):
    return tuple(db.get(key) for key in KEYS)


def play(engine, seed, number, tally):
    options = OPTIONS.get(engine) or OTHERS.get(engine, {"engine": engine})
    with tempfile.TemporaryDirectory(prefix="lsm-rig-") as place, switching_often(), \
            lsm.open(Path(place) / "db", **options) as db:
        meet, done = threading.Barrier(THREADS + 1), threading.Event()
        calls, errors, clock = [[] for _ in range(THREADS)], [], itertools.count()

        def work(thread):
            rng = random.Random(f"histories {engine} {seed} {number} {thread}")
            try:
                for turn in range(HISTORIES):
                    meet.wait(60)
                    for at in range(CALLS):
                        kind, = rng.choices(list(KINDS), list(KINDS.values()))
                        unique = b"%d.%d.%d:" % (thread, turn, at) + bytes(rng.choice((0, 10, 300)))
                        begin = next(clock)
                        changes, seen = one_call(db, kind, rng, unique)
                        end = next(clock)
                        if kind == "multi_get" and engine not in AT_ONE_MOMENT:
                            calls[thread] += [Call(begin, end, {}, {key: value}) for key, value in seen.items()]
                        else:
                            calls[thread].append(Call(begin, end, changes, seen))
                    meet.wait(60)
            except BaseException as error:
                errors.append(error)
                meet.abort()

        def disturb():
            while not done.wait(0.003):
                db.flush()
                db.compact()

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
        threads.append(threading.Thread(target=disturb))
        for thread in threads:
            thread.start()
        try:
            with tally.watching("threads", lambda: str(errors[:1])):
                for turn in range(HISTORIES):
                    start = present(db)
                    for own in calls:
                        own.clear()
                    meet.wait(60)
                    meet.wait(60)
                    with tally.watching("history", lambda turn=turn: f"[history {turn}]: {told(calls)}"):
                        assert explained(start, calls, present(db)), "no order explains what was seen"
                    tally.count("histories")
                    tally.count("calls", THREADS * CALLS)
        finally:
            done.set()
            meet.abort()
            for thread in threads:
                thread.join(60)
        if errors and not all(isinstance(error, threading.BrokenBarrierError) for error in errors):
            tally.violation("threads", repr(errors[0]))


def told(calls):
    return "; ".join(f"{thread}: {call.begin}-{call.end} {'wrote' if call.changes else 'saw'} "
                     f"{ {key: value and value.split(b':')[0] for key, value in (call.changes or call.seen).items()} }"
                     for thread, own in enumerate(calls) for call in own)[:4000]
