"""Ordered reads: whole scans, where an operation is a row, and seeks."""

from workloads.session import PREFIX_BYTES, SEEK_ROWS, SEEKS, Measure, Session


def readseq(session: Session) -> Measure:
    measure = session.timed(session.records, session.store.scan_all, payload=_payload(session))
    assert session.answer == session.sorted[-1], "a scan did not end with the last key"
    return measure


def readreverse(session: Session) -> Measure:
    measure = session.timed(session.records, session.store.scan_all, True, payload=_payload(session))
    assert session.answer == session.sorted[0], "a reverse scan did not end with the first key"
    return measure


def readkeys(session: Session) -> Measure:
    """Keys without values."""
    measure = session.timed(session.records, session.store.keys_all, payload=16 * session.records)
    assert session.answer == session.sorted[-1], "a scan of keys did not end with the last key"
    return measure


def readchunks(session: Session) -> Measure:
    """All rows in chunks: columns where a store has them, else lists of rows made without a Python loop."""
    measure = session.timed(session.records, session.store.chunks_all, payload=_payload(session))
    assert session.answer == session.records, f"chunks held {session.answer} rows"
    return measure


def seekrandom(session: Session) -> Measure:
    """Seek a key, read ten rows from there; an operation is both."""
    keys = session.sample(session.kind.most_seeks or SEEKS)
    payload = len(keys) * SEEK_ROWS * session.record_bytes
    measure = session.timed(len(keys), session.store.seek_each, keys, SEEK_ROWS, payload=payload)
    last = session.rows_from(keys[-1], SEEK_ROWS)[-1]
    assert session.answer == (last, session.pool.of(last)), "the last row after a seek is another"
    return measure


def prefixscan(session: Session) -> Measure:
    """All rows that begin with the first two bytes of a random key; an operation is a prefix."""
    prefixes = [key[:PREFIX_BYTES] for key in session.sample((session.kind.most_seeks or SEEKS) // 2)]
    measure = session.timed(len(prefixes), session.store.prefix_each, prefixes)
    rows = {}
    for key in session.sorted:
        rows[key[:PREFIX_BYTES]] = rows.get(key[:PREFIX_BYTES], 0) + 1
    assert session.answer == sum(map(rows.__getitem__, prefixes)), "a prefix scan gave too few or too many rows"
    return measure


def _payload(session: Session) -> int:
    return session.records * session.record_bytes
