"""More than one thread on one store. Each thread works through the store that `for_thread` gives it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter, sleep

from workloads.session import Measure, Session

TURN = 1000  # keys between two looks at whether the readers are done
READ_SECONDS = 0.5  # at the least beside a writer, or it has not begun when the reads are over
WRITES_A_SECOND = 20_000  # beside readers; RocksDB's own benchmarks hold its rate down too, for the same reason


def readrandom_2threads(session: Session) -> Measure:
    keys = session.reads()
    half = len(keys) // 2
    parts = [keys[:half], keys[half:]]
    return session.timed(len(keys), together, [lambda part=part: session.store.for_thread().get_each(part)
                                                for part in parts])  # fmt: skip


def readwhilewriting(session: Session) -> Measure:
    """Reads by one thread while another overwrites, as many a second in every store; an operation is a read."""
    return _read_beside(session, WRITES_A_SECOND)


def readwhilewriting_flatout(session: Session) -> Measure:
    """The same while the other overwrites as fast as it may: the quicker a store writes, the less is left to its reader."""
    return _read_beside(session, float("inf"))


def _read_beside(session: Session, rate: float) -> Measure:
    keys, over, reads, writes = session.reads(), threading.Event(), [0], [0]
    targets = session.sample(len(keys))
    values = session.values(targets, session.newer)

    def write() -> None:
        store, start = session.store.for_thread(), perf_counter()
        while not over.is_set():
            due = min(TURN, (perf_counter() - start) * rate - writes[0])
            if due < 1:
                sleep(0.001)
                continue
            place = writes[0] % len(targets)
            part = slice(place, place + int(due))
            store.put_each(targets[part], values[part])
            writes[0] += len(targets[part])

    def read() -> None:
        store, end = session.store.for_thread(), perf_counter() + READ_SECONDS
        while not reads[0] or perf_counter() < end:
            for start in range(0, len(keys), TURN):
                store.get_each(keys[start : start + TURN])
            reads[0] += len(keys)
        over.set()

    measure = session.timed(len(keys), together, [write, read])
    measure = replace(measure, operations=reads[0])
    return replace(measure, extra={"writes": writes[0], "writes_per_second": writes[0] / measure.seconds})


def together(jobs: Sequence[Callable[[], None]]) -> None:
    """Run all, each in a thread; what one raises is raised here."""
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as failure:  # handed to the caller below
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
