"""Puts for as long as it takes until compaction is what limits them: how even are they?

fillsustained            twice as many bytes a second as the store itself has just compacted, which no store can keep up
                         for ever: what holds writers back has to, the question is how
fillsustained-flatout    no pace at all

Every store has a memtable of a fortieth of the data here (at least 256 KiB), so that memtables fill, tables pile up and
whatever holds writers back does so within the run. The clock is read after each put; a put's time is what lies between
two readings. The writer keeps its pace by resting after each SLICE of puts while it is ahead of it; the put after a rest is
not counted. Ranks (p50, p99, p99.9) and the longest put are of all others of a round.
"""

from array import array
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter, sleep

from stores import Budget, Store
from workloads.session import Measure, Session

MEMTABLES = 40
LEAST_MEMTABLE = 256 << 10
SLICE = 64  # puts between two looks at the pace
TIMES = 2  # the speed of compaction
RANKS = {"p50_us": 0.5, "p99_us": 0.99, "p99.9_us": 0.999, "longest_us": 1.0}


def fillsustained(session: Session) -> Measure:
    speed = compaction_speed(session)
    measure = sustained(session, lambda store, *given: put_at(TIMES * speed / session.record_bytes, store, *given))
    return replace(measure, extra=measure.extra | {"compaction_mb_per_second": speed / 1e6})


def fillsustained_flatout(session: Session) -> Measure:
    return sustained(session, lambda store, *given: store.put_each_timed(*given))


def sustained(session: Session, put: Callable) -> Measure:
    keys = session.writes()
    values, payload = session.values(keys), len(keys) * session.record_bytes
    ends = session.make(lambda: array("d", bytes(8 * len(keys))))
    store = session.open_new("sustained", budget_of(session))
    measure = session.timed(len(keys), put, store, keys, values, ends, payload=payload)
    first = SLICE if session.answer else len(keys)  # each slice begins with a put whose beginning was not timed
    took = sorted(ends[place] - ends[place - 1] for place in range(len(keys)) if place % first)
    extra = {name: took[min(len(took) - 1, int(rank * len(took)))] * 1e6 for name, rank in RANKS.items()}
    session.check(session.pool, keys)
    return replace(measure, extra=extra | {"mb_per_second": payload / measure.seconds / 1e6})


def put_at(rate: float, store: Store, keys: list, values: list, ends: array) -> bool:
    """put_each_timed at `rate` puts a second or what the store takes."""
    begun, part = perf_counter(), array("d", bytes(8 * SLICE))
    for start in range(0, len(keys), SLICE):
        behind = slice(start, start + SLICE)
        store.put_each_timed(keys[behind], values[behind], part)
        ends[behind] = part[: len(keys[behind])]
        ahead = begun + (start + SLICE) / rate - perf_counter()
        if ahead > 0:
            sleep(ahead)
    return True


def compaction_speed(session: Session) -> float:
    """Bytes of keys and values a second that one compaction of half the data takes in."""
    keys = session.writes()
    keys = keys[: len(keys) // 2]
    store = session.open_new("speed", budget_of(session))
    store.put_each(keys, session.values(keys))
    store.flush()
    begun = perf_counter()
    store.compact()
    return len(keys) * session.record_bytes / (perf_counter() - begun)


def budget_of(session: Session) -> Budget:
    payload = len(session.writes()) * session.record_bytes
    return replace(session.budget, memtable_bytes=min(session.budget.memtable_bytes, max(LEAST_MEMTABLE, payload // MEMTABLES)))
