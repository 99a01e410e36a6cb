"""Writes, each into a new database: one call each, or a thousand a call (fewer of great values)."""

from collections.abc import Callable

from records import ValuePool, fresh
from stores import Store
from workloads.session import Measure, Session


def fillseq(session: Session) -> Measure:
    """Ascending keys."""
    keys = session.make(lambda: fresh(sorted(session.writes())))
    return _fill(session, "sequential", keys)


def fillrandom(session: Session) -> Measure:
    measure = _fill(session, "random", session.writes())
    session.filled = measure.operations
    return measure


def _fill(session: Session, name: str, keys: list[bytes]) -> Measure:
    return _put_each(session, session.open_new(name), keys, session.pool)


def _put_each(session: Session, store: Store, keys: list[bytes], pool: ValuePool) -> Measure:
    values = session.values(keys, pool)
    measure = session.timed(len(keys), store.put_each, keys, values, payload=_payload(session, keys))
    session.check(pool, keys)
    return measure


def overwrite(session: Session) -> Measure:
    """Every key again, in another order, with another value."""
    store = session.fill()
    return _put_each(session, store, session.shuffled(session.writes()), session.newer)


def deleterandom(session: Session) -> Measure:
    store = session.fill()
    keys = session.shuffled(session.writes())
    measure = session.timed(len(keys), store.delete_each, keys, payload=16 * len(keys))
    session.filled = 0
    assert next(iter(store.scan()), None) is None, "rows are left after every key was deleted"
    return measure


def fillbatch(session: Session) -> Measure:
    """Write batches of a thousand, built by a put each."""
    return _fill_batches(session, "batch", lambda store: store.batch_each)


def write_many(session: Session) -> Measure:
    """A thousand pairs a call; a batch where a store has no such call."""
    return _fill_batches(session, "many", lambda store: store.write_many_each)


def _fill_batches(session: Session, name: str, loop: Callable) -> Measure:
    keys = session.writes()
    pairs = list(zip(keys, session.pool.of_all(keys)))
    batches = session.make(
        lambda: [pairs[start : start + session.batch] for start in range(0, len(pairs), session.batch)]
    )
    store = session.open_new(name)
    measure = session.timed(len(keys), loop(store), batches, payload=_payload(session, keys))
    session.check(session.pool, keys)
    return measure


def _payload(session: Session, keys: list[bytes]) -> int:
    return len(keys) * session.record_bytes
