"""The named workloads of the comparison, in the order they are run in one process.

A session owns one store and the records of one round; a workload times one loop over it and answers
(operations, seconds), or None where the store has no such operation. The order matters: each workload
finds what the ones before it left. What a store answers is checked outside the timed loops, and a wrong
answer ends the run.
"""

import gc
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter

from records import random_keys, random_values
from stores import Budget, Dict, Store

BATCH = 1000  # records of one write batch
TOGETHER = 100  # keys of one multi_get
Timing = tuple[int, float]


@dataclass
class Session:
    store_type: type[Store]
    budget: Budget
    directory: str
    records: int
    seed: int
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        """What the loops need is made here, so that what a worker holds more at its peak is the store's."""
        self.keys = random_keys(self.records, self.seed)
        self.values = random_values(self.records, self.seed + 1)
        self.missing = random_keys(self.records, self.seed + 3)
        turn = random.Random(self.seed + 4).sample(range(self.records), self.records)
        self.shuffled = [self.keys[index] for index in turn]
        self.newer = random_values(self.records, self.seed + 2)  # newer[i] overwrites the value of keys[i]
        self.newer_shuffled = [self.newer[index] for index in turn]
        self.order = sorted(range(self.records), key=self.keys.__getitem__)
        self.key_lists = in_lists(self.shuffled, TOGETHER)
        self.pair_lists = in_lists(list(zip(self.keys, self.values)), BATCH)
        gc.collect()
        gc.freeze()

    def open_new(self, name: str) -> None:
        self.store = self.store_type(os.path.join(self.directory, name), self.budget)


def in_lists(items: list, length: int) -> list[list]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def time_pairs(call: Callable[[bytes, bytes], object], keys: list[bytes], values: list[bytes]) -> Timing:
    start = perf_counter()
    for key, value in zip(keys, values):
        call(key, value)
    return len(keys), perf_counter() - start


def time_keys(call: Callable[[bytes], object], keys: list[bytes]) -> Timing:
    start = perf_counter()
    for key in keys:
        call(key)
    return len(keys), perf_counter() - start


def time_rows(rows: Iterable[tuple[bytes, bytes]]) -> Timing:
    start, count = perf_counter(), 0
    for key, value in rows:
        count += 1
    return count, perf_counter() - start


def put(session: Session) -> Timing:
    session.open_new("first")
    timing = time_pairs(session.store.put, session.keys, session.values)
    check(session, session.values)
    return timing


def get(session: Session) -> Timing:
    return time_keys(session.store.get, session.shuffled)


def get_missing(session: Session) -> Timing:
    return time_keys(session.store.get, session.missing)


def multi_get(session: Session) -> Timing:
    return session.records, time_keys(session.store.multi_get, session.key_lists)[1]


def scan(session: Session) -> Timing:
    start = perf_counter()
    rows = session.store.scan()  # opening the scan is part of it
    opened = perf_counter() - start
    count, seconds = time_rows(rows)
    assert count == session.records, f"a full scan gave {count} rows of {session.records}"
    return count, opened + seconds


def scan_reverse(session: Session) -> Timing:
    start = perf_counter()
    rows = session.store.scan(reverse=True)
    opened = perf_counter() - start
    count, seconds = time_rows(rows)
    assert count == session.records, f"a reverse scan gave {count} rows of {session.records}"
    return count, opened + seconds


def overwrite(session: Session) -> Timing:
    timing = time_pairs(session.store.put, session.shuffled, session.newer_shuffled)
    check(session, session.newer)
    return timing


def delete(session: Session) -> Timing:
    timing = time_keys(session.store.delete, session.keys)
    assert next(iter(session.store.scan()), None) is None, "rows are left after every key was deleted"
    session.store.close()
    return timing


def batch(session: Session) -> Timing:
    session.open_new("second")
    return session.records, time_keys(session.store.batch, session.pair_lists)[1]


def compact(session: Session) -> Timing | None:
    if session.store_type is Dict:
        return None
    start = perf_counter()
    session.store.compact()
    return 1, perf_counter() - start


def reopen(session: Session) -> Timing | None:
    """Closing is not counted. What follows reads tables only, with an empty block cache."""
    if session.store_type is Dict:
        return None
    session.store.close()
    start = perf_counter()
    session.store.open()
    seconds = perf_counter() - start
    return 1, seconds


def first_scan(session: Session) -> Timing:
    """The block cache is empty, the file system's is not."""
    timing = scan(session)
    check(session, session.values)
    return timing


def check(session: Session, values: list[bytes]) -> None:
    rows = 0
    for row, index in zip(session.store.scan(), session.order):
        assert row == (session.keys[index], values[index]), (
            f"row {rows} of a scan differs from what was written"
        )
        rows += 1
    assert rows == session.records, f"a scan ended after {rows} rows of {session.records}"
    some = slice(0, None, 100)
    assert list(map(session.store.get, session.keys[some])) == values[some], (
        "a get differs from what was written"
    )
    assert session.store.multi_get(session.keys[some]) == values[some], (
        "a multi_get differs from what was written"
    )
    assert session.store.get(session.missing[0]) is None, "a key that was never written is there"


@dataclass(frozen=True)
class Workload:
    name: str
    run: Callable[[Session], Timing | None]
    target: float | None = None  # how many times as fast as the faster peer; None: shown, not judged


WORKLOADS = (
    # One database of one memtable (overwrite fills it: it is flushed in the background meanwhile).
    Workload("put", put, 3.0),
    Workload("get", get, 3.0),
    Workload("get, missing", get_missing),
    Workload("multi_get", multi_get),
    Workload("scan", scan, 1.5),
    Workload("scan, reverse", scan_reverse),
    Workload("overwrite", overwrite, 3.0),
    Workload("get, overwritten", get),
    Workload("scan, overwritten", scan),
    Workload("delete", delete, 3.0),
    # A second database, filled by batches and compacted: everything below is read from tables.
    Workload("batch", batch),
    Workload("compact (whole)", compact),
    Workload("reopen (whole)", reopen),
    Workload("scan, tables, cold", first_scan),
    Workload("scan, tables", scan, 1.5),
    Workload("scan, reverse, tables", scan_reverse),
    Workload("get, tables", get, 3.0),
    Workload("get, missing, tables", get_missing),
    Workload("multi_get, tables", multi_get),
)
