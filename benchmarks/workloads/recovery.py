"""Whole operations on a database: flush, compact, open again after a clean close and after a kill.

An operation is the whole call; compact and flush are also judged by the processor time of a megabyte.
"""

import os
import signal
import time

from workloads.session import Measure, Session


def flush(session: Session) -> Measure:
    """One memtable to one table; nothing else is going on."""
    count = _one_memtable(session)
    store = session.open_new("flush")
    store.put_each(session.keys[:count], session.pool.of_all(session.keys[:count]))
    session.settle()
    return session.timed(1, store.flush, payload=count * session.record_bytes)


def compact(session: Session) -> Measure:
    """The same for every store: all records but those of a memtable compacted and at rest, and then those of a
    memtable (at most half of all), which lie between them. So each has to flush that much and to merge all."""
    keys = session.writes()
    split = len(keys) - min(_one_memtable(session), len(keys) // 2)
    store = session.open_new("compact")
    store.put_each(keys[:split], session.pool.of_all(keys[:split]))
    store.compact()
    session.settle()
    store.put_each(keys[split:], session.pool.of_all(keys[split:]))
    session.settle()
    measure = session.timed(1, store.compact, payload=len(keys) * session.record_bytes)
    session.check(session.pool, keys)
    return measure


def reopen(session: Session) -> Measure:
    """Open after a clean close, and one get."""
    store = session.fill()
    store.compact()
    session.settle()
    store.close()
    key = session.keys[0]
    measure = session.timed(1, _open_and_get, store, key)
    assert session.answer == session.pool.of(key), "another value after reopening"
    return measure


def recover(session: Session) -> Measure:
    """Open after the process that wrote most of a memtable was killed (SIGKILL), and one get."""
    session.close()
    count = _one_memtable(session)
    keys = session.keys[:count]
    path = os.path.join(session.directory, "killed")
    child = os.fork()
    if child == 0:
        store = session.kind(path, session.budget)
        store.put_each(keys, session.pool.of_all(keys))
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "the writer failed before its end"
    time.sleep(0.1)
    made = session.kind.__new__(session.kind)
    made.path, made.budget, made.module = path, session.budget, session.kind.load_package()
    measure = session.timed(1, _open_and_get, made, keys[0])
    session.store, session.filled = made, 0
    assert session.answer == session.pool.of(keys[0]), "another value after the kill"
    session.check(session.pool, keys)
    return measure


def _open_and_get(store, key: bytes) -> bytes | None:
    store.open()
    return store.get(key)


def _one_memtable(session: Session) -> int:
    return min(len(session.writes()), int(session.budget.memtable_bytes * 0.6) // session.record_bytes)
