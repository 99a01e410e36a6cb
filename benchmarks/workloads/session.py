"""One store and the records of one round, in one process: what the workloads of a stage share.

A state is where the data are when reads begin:
  new          each workload begins with an empty database
  memtable     as many records as fit in one memtable, written and not flushed
  uncompacted  written one by one in random order, as it is: memtables, tables of several levels
  compacted    compacted, closed, opened again, read once
  cached       compacted and read once; the cache of every store is big enough for all of it
  disk         compacted; the cache of every store holds a fifth of it, the files are in the page cache
  cold         the same, but before each timed call the store is opened anew and its files are dropped
               from the page cache (fadvise), so that what it reads comes from the device

Invariants: memory is looked at around timed calls only, less what this process held before the store was
opened and less the lists of records made since, which are kept to the end so that the difference stays right.
Keys to be read are other objects than those written, in the order they are asked for: a caller's key has just
been made. A value depends on its key and version only, so a pair that is read can be judged alone.
"""

import gc
import os
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time, sleep

from machine import directory_bytes, drop_from_page_cache, io_bytes, peak_rss_bytes, reset_peak_rss, rss_bytes
from records import ValuePool, fresh, random_keys
from stores import Budget, Store

BATCH = 1000  # records of one write batch, of at most
BATCH_BYTES = 4 << 20
TOGETHER = 100  # keys of one multiget
SEEK_ROWS = 10
PREFIX_BYTES = 2
SEEKS = 50_000
MOST_READS = 1_000_000
MEMTABLE_SHARE = 0.6  # of a memtable, in keys and values; the rest is for the entries themselves
READ_STATES = ("memtable", "uncompacted", "compacted", "cached", "disk", "cold")
SETTLED_SECONDS, MOST_SETTLING = 0.1, 120


@dataclass(frozen=True)
class Measure:
    """What one timed call used. Bytes are those of the whole process; cpu is of all its threads."""

    operations: int
    seconds: float
    cpu_seconds: float
    written_bytes: int | None
    read_bytes: int | None
    memory_bytes: int
    payload_bytes: int = 0  # keys and values that went through
    extra: dict | None = None


class Session:
    def __init__(self, kind: type[Store], budget: Budget, directory: str, state: str, records: int,
                 value_bytes: int, seed: int) -> None:  # fmt: skip
        self.kind, self.directory, self.state, self.seed = kind, directory, state, seed
        self.record_bytes = 16 + value_bytes
        self.batch = max(1, min(BATCH, BATCH_BYTES // self.record_bytes))
        if state in READ_STATES and kind.most_records is not None:
            records = min(records, kind.most_records)
        if state == "memtable":
            records = min(records, int(budget.memtable_bytes * MEMTABLE_SHARE) // self.record_bytes)
        self.records, self.value_bytes = records, value_bytes
        self.budget = budget_of(state, budget, records * self.record_bytes)
        self.rng = random.Random(seed)
        self.pool, self.newer = ValuePool(value_bytes, seed + 1), ValuePool(value_bytes, seed + 2)
        self.keys = random_keys(records, seed)
        self.sorted = sorted(self.keys)
        self.store: Store | None = None
        self.kept: list = []
        self.shared: dict = {}  # what workloads of one stage hand on
        self.ours = 0  # memory of the lists made since begin()
        self.peak = 0  # the store's, over all timed calls
        self.filled = 0  # records of self.keys that are in the open database, by fill()
        self.opened = 0

    def begin(self) -> None:
        """Everything is made: from here on, what the process grows by is the store's."""
        self.kind.load_package()
        gc.collect()
        gc.freeze()
        self.idle_bytes = rss_bytes()

    # Records

    def make(self, call: Callable[..., list], *arguments: object) -> list:
        """A list for a timed loop: its memory is not the store's."""
        before = rss_bytes()
        made = call(*arguments)
        self.kept.append(made)
        self.ours += max(0, rss_bytes() - before)
        return made

    def sample(self, count: int) -> list[bytes]:
        """Keys that are there, each at most once, in random order, as new objects."""
        count = min(count, self.records)
        return self.make(lambda: fresh(self.rng.sample(self.keys, count)))

    def reads(self) -> list[bytes]:
        return self.sample(MOST_READS)

    def writes(self) -> list[bytes]:
        """The keys of a workload of single writes: fewer where a store is too slow for all."""
        return self.keys if self.kind.most_writes is None else self.keys[: self.kind.most_writes]

    def shuffled(self, keys: list[bytes]) -> list[bytes]:
        return self.make(lambda: fresh(self.rng.sample(keys, len(keys))))

    def values(self, keys: list[bytes], pool: ValuePool | None = None) -> list[bytes]:
        return self.make((pool or self.pool).of_all, keys)

    def absent(self, count: int) -> list[bytes]:
        """Keys that are not there, spread like those that are."""
        return self.make(random_keys, count, self.seed + 3)

    # The database

    def open_new(self, name: str, budget: Budget | None = None) -> Store:
        self.close()
        self.opened += 1
        path = os.path.join(self.directory, f"{self.opened:02}-{name}")
        self.store, self.filled = self.kind(path, budget or self.budget), 0
        return self.store

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    def fill(self) -> Store:
        """A database with the keys of `writes`, each written by one call, in random order."""
        if self.store is None or not self.filled:
            store, keys = self.open_new("random"), self.writes()
            store.put_each(keys, self.values(keys))
            self.filled = len(keys)
        return self.store

    def prepare(self) -> None:
        """Bring the data where the state says, and let the store finish what it does about it."""
        if self.state == "new":
            return
        if self.state in ("memtable", "uncompacted"):
            self.records = len(self.writes())
            self.keys, self.sorted = self.writes(), sorted(self.writes())
            self.fill()
        else:
            store = self.open_new(self.state)
            for start in range(0, self.records, self.batch):
                keys = self.keys[start : start + self.batch]
                store.write_many(list(zip(keys, self.pool.of_all(keys))))
            store.compact()
            store.close()
            store.open()
        self.check(self.pool)
        self.settle()

    def settle(self) -> None:
        """Wait until the store's background work is done: this process has used almost no processor time."""
        until = perf_counter() + MOST_SETTLING
        quiet = 0
        while quiet < 2 and perf_counter() < until:
            used = process_time()
            sleep(SETTLED_SECONDS)
            quiet = quiet + 1 if process_time() - used < SETTLED_SECONDS / 25 else 0

    def opened_cold(self, call: Callable) -> Callable:
        """The same method of the store after it was opened again and the page cache forgot its files."""
        self.store.close()
        drop_from_page_cache(self.store.path)
        self.store.open()
        return getattr(self.store, call.__name__)

    # Measuring and judging

    def timed(self, operations: int, call: Callable, *arguments: object, payload: int = 0) -> Measure:
        if self.state == "cold":
            call = self.opened_cold(call)
        reset_peak_rss()
        read, written = io_bytes()
        cpu, start = process_time(), perf_counter()
        self.answer = call(*arguments)
        seconds, cpu = perf_counter() - start, process_time() - cpu
        read_after, written_after = io_bytes()
        memory = peak_rss_bytes() - self.idle_bytes - self.ours
        self.peak = max(self.peak, memory)
        grown = [None if after is None else after - before
                 for before, after in ((written, written_after), (read, read_after))]  # fmt: skip
        return Measure(operations, seconds, cpu, *grown, memory, payload_bytes=payload)

    def check(self, pool: ValuePool, keys: list[bytes] | None = None) -> None:
        """Every row by a scan, each hundredth by get and multiget; an answer that is wrong ends the run."""
        self.check_rows(self.sorted if keys is None else sorted(keys), pool.of)

    def check_rows(self, ordered: list[bytes], value_of: Callable[[bytes], bytes]) -> None:
        store, rows = self.store, 0
        for key, value in store.scan():
            assert rows < len(ordered) and key == ordered[rows] and value == value_of(key), (
                f"{store.name}: row {rows} of a scan differs from what was written"
            )
            rows += 1
        assert rows == len(ordered), f"{store.name}: a scan ended after {rows} rows of {len(ordered)}"
        some = ordered[::100]
        values = list(map(value_of, some))
        assert list(map(store.get, some)) == values, f"{store.name}: a get differs from what was written"
        for start in range(0, len(some), TOGETHER):
            part = slice(start, start + TOGETHER)
            assert list(store.multi_get(some[part])) == values[part], f"{store.name}: a multiget differs"
        assert store.get(self.absent(1)[0]) is None, f"{store.name}: a key that was never written is there"

    def rows_from(self, key: bytes, count: int) -> list[bytes]:
        place = bisect_left(self.sorted, key)
        return self.sorted[place : place + count]

    def sizes(self) -> dict[str, int | None]:
        """The most memory of the store, and what its directory takes of the disk, before it is closed."""
        size = directory_bytes(self.store.path)[1] if self.store and os.path.isdir(self.store.path) else None
        return {"memory_bytes": self.peak, "directory_bytes": size}


def budget_of(state: str, budget: Budget, data_bytes: int) -> Budget:
    fifth = max(data_bytes // 5, 1 << 16)
    caches = {"cached": max(budget.cache_bytes, 4 * data_bytes), "disk": fifth, "cold": fifth}
    cache = caches.get(state, budget.cache_bytes)
    return Budget(**{**vars(budget), "cache_bytes": cache})
