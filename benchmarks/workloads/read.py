"""Point reads of what a state prepared."""

from records import fresh
from workloads.session import MOST_READS, TOGETHER, Measure, Session


def readrandom(session: Session) -> Measure:
    keys = session.reads()
    return _get(session, keys)


def readhot(session: Session) -> Measure:
    """One key in a hundred, over and over."""
    count = min(session.records, MOST_READS)
    hot = session.sample(max(1, session.records // 100))
    return _get(session, session.make(lambda: fresh(session.rng.choices(hot, k=count))))


def readmissing(session: Session) -> Measure:
    keys = session.absent(min(session.records, MOST_READS))
    return _get(session, keys, payload=16 * len(keys))


def _get(session: Session, keys: list[bytes], payload: int | None = None) -> Measure:
    payload = len(keys) * session.record_bytes if payload is None else payload
    return session.timed(len(keys), session.store.get_each, keys, payload=payload)


def multiget(session: Session) -> Measure:
    """A hundred keys a call; an operation is a key."""
    keys = session.reads()
    lists = session.make(lambda: [keys[place : place + TOGETHER] for place in range(0, len(keys), TOGETHER)])
    payload = len(keys) * session.record_bytes
    return session.timed(len(keys), session.store.multi_get_each, lists, payload=payload)
