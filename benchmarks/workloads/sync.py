"""Writes that reach the device before their call returns: `Budget.sync`."""

from dataclasses import replace

from workloads.session import Measure, Session
from workloads.threads import together

SYNCED = 1000  # writes of one thread
THREADS = 8


def fillsync(session: Session) -> Measure:
    keys = session.keys[:SYNCED]
    store = session.open_new("sync", replace(session.budget, sync=True))
    measure = session.timed(len(keys), store.put_each, keys, session.pool.of_all(keys))
    session.check(session.pool, keys)
    return measure


def fillsync_8threads(session: Session) -> Measure:
    keys = session.keys[: SYNCED * THREADS // 2]
    store = session.open_new("sync8", replace(session.budget, sync=True))
    parts = [keys[place::THREADS] for place in range(THREADS)]
    jobs = [lambda part=part: store.for_thread().put_each(part, session.pool.of_all(part)) for part in parts]
    measure = session.timed(len(keys), together, jobs)
    session.check(session.pool, keys)
    return measure
