"""Puts without a pause for as long as it takes until compaction is what limits them: how even are they?

Every store has a memtable of a fortieth of the data here (at least 256 KiB), so that memtables fill, tables pile up and
whatever holds writers back does so within the run. The clock is read after each put; a put's time is what lies between
two readings. Ranks (p50, p99, p99.9) and the longest put are of all puts of a round.
"""

from array import array
from dataclasses import replace

from workloads.session import Measure, Session

MEMTABLES = 40
LEAST_MEMTABLE = 256 << 10
RANKS = {"p50_us": 0.5, "p99_us": 0.99, "p99.9_us": 0.999, "longest_us": 1.0}


def fillsustained(session: Session) -> Measure:
    keys = session.writes()
    values, payload = session.values(keys), len(keys) * session.record_bytes
    memtable = min(session.budget.memtable_bytes, max(LEAST_MEMTABLE, payload // MEMTABLES))
    ends = session.make(lambda: array("d", bytes(8 * len(keys))))
    store = session.open_new("sustained", replace(session.budget, memtable_bytes=memtable))
    measure = session.timed(len(keys), store.put_each_timed, keys, values, ends, payload=payload)
    took = sorted(end - before for before, end in zip(ends, ends[1:]))  # without the first: it began before the clock
    extra = {name: took[min(len(took) - 1, int(rank * len(took)))] * 1e6 for name, rank in RANKS.items()}
    session.check(session.pool, keys)
    return replace(measure, extra=extra | {"mb_per_second": payload / measure.seconds / 1e6})
