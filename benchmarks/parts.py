"""The parts of the core, each alone: what micro.py and compare.py time.

A part is made once, with all that it needs, and answers a loop and how many operations one call of it does. The loops
are in C (src/lsm/binding/timing.pxi), so that no call from Python is measured, except for those named `public-...`,
which are one Python call each, as a user makes it. Data are the same on every run and every commit.

    python benchmarks/parts.py [--only WORD] [--repeat N]      one line of JSON: nanoseconds an operation, best of N

A part that this build does not have is left out.
"""

import argparse
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from time import perf_counter

from records import nth_key, random_keys, value_of_key

COUNT = 100_000  # keys of a memtable or a table
BLOCK_KEYS = 32  # of about 4 KiB: random 16-byte keys, 100-byte values
SEARCHES = 10_000
VALUE = value_of_key(nth_key(0))
ID = bytes(16)
Part = tuple[Callable[[], object], int]
LEAST_SECONDS = 0.02  # a loop is called until it took so long, and then divided

PARTS: dict[str, Callable] = {}


def part(*names: str) -> Callable:
    def register(make: Callable) -> Callable:
        for name in names:
            PARTS[name] = make
        return make

    return register


class Workshop:
    """What parts are made of: the core, a directory, keys. Things that are costly to make are made once."""

    def __init__(self, core, place: str) -> None:
        self.core, self.place, self.made, self.opened = core, place, {}, []

    def close(self) -> None:
        for db in self.opened:
            db.close()

    def once(self, name: str, make: Callable):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    @property
    def keys(self) -> list[bytes]:
        return self.once("keys", lambda: random_keys(COUNT, 1))

    def c_keys(self, keys: list[bytes]):
        return self.core._Keys(keys)

    def searched(self, keys: list[bytes]):
        return self.c_keys(random.Random(2).choices(keys, k=SEARCHES))

    def absent(self):
        return self.c_keys(random_keys(SEARCHES, 3))

    @property
    def directory(self):
        return self.once("directory", lambda: self.core.Directory(os.path.join(self.place, "core"), create=True))

    def memtable(self, keys: list[bytes]):
        return self.core._time_memtable_insert(self.c_keys(keys), VALUE)

    @property
    def full_memtable(self):
        return self.once("memtable", lambda: self.memtable(self.keys))

    @property
    def table(self):
        return self.once("table", self.write_table)

    def write_table(self):
        writer = self.core.TableWriter(self.directory, "000001.table", number=1, database_id=ID)
        for sequence, key in enumerate(sorted(self.keys), 1):
            writer.add(key, sequence, 1, VALUE)
        writer.finish()
        table = self.core.Table(self.directory, "000001.table", self.core.BlockCache(64 << 20))
        self.core._time_table_get(table, self.c_keys(self.keys))  # every block is in the cache
        return table


@part("crc32c-16", "crc32c-4096")
def crc32c(work: Workshop, name: str) -> Part:
    data, times = bytes(int(name.split("-")[1])), 10_000
    return lambda: work.core._time_crc32c(data, times), times


@part("varint-encode")
def varint_encode(work: Workshop, name: str) -> Part:
    values = varints()
    return lambda: work.core._time_varint_encode(values, 100), 100 * len(values)


@part("varint-decode")
def varint_decode(work: Workshop, name: str) -> Part:
    values = varints()
    encoded = work.core._time_varint_encode(values, 1)
    return lambda: work.core._time_varint_decode(encoded, 100), 100 * len(values)


def varints() -> list[int]:
    """Of all lengths from one byte to ten, equally often."""
    draw = random.Random(4)
    return [draw.getrandbits(draw.choice(range(7, 64, 7))) for _ in range(1000)]


@part("memtable-insert")
def memtable_insert(work: Workshop, name: str) -> Part:
    """As in a database that has been written to for a while: the memtable before it tells how many keys to expect."""
    keys, before = work.c_keys(work.keys), work.full_memtable
    return lambda: work.core._time_memtable_insert(keys, VALUE, before), COUNT


@part("memtable-find")
def memtable_find(work: Workshop, name: str) -> Part:
    memtable, keys = work.full_memtable, work.searched(work.keys)
    return lambda: work.core._time_memtable_find(memtable, keys), SEARCHES


@part("log-append")
def log_append(work: Workshop, name: str) -> Part:
    keys, numbers = work.c_keys(work.keys), iter(range(1, 1 << 30))
    held = []

    def append() -> None:  # a new log each time, so that it does not grow without end
        for log in held:
            os.unlink(os.path.join(work.place, "core", log.name))
        held[:] = [work.core.LogWriter(work.directory, next(numbers), ID)]
        work.core._time_log_append(held[0], keys, VALUE)

    return append, COUNT


@part("block-build")
def block_build(work: Workshop, name: str) -> Part:
    keys = work.c_keys(sorted(work.keys)[:BLOCK_KEYS])
    return lambda: work.core._time_block_build(keys, VALUE, 1000), 1000 * BLOCK_KEYS


@part("block-search-restarts", "block-search-directory")
def block_search(work: Workshop, name: str) -> Part:
    keys = sorted(work.keys)[:BLOCK_KEYS]
    contents = work.core._block_build([(key, 1, 1, VALUE) for key in keys], 16)
    wanted, by_directory = work.searched(keys), name.endswith("directory")
    return lambda: work.core._time_block_search(contents, wanted, by_directory), SEARCHES


@part("filter-probe", "filter-probe-absent")
def filter_probe(work: Workshop, name: str) -> Part:
    lines, probes = work.once("filter", lambda: work.core._bloom_build(work.keys, 10))
    keys = work.absent() if name.endswith("absent") else work.searched(work.keys)
    return lambda: work.core._time_filter_probe(lines, probes, keys), SEARCHES


@part("table-get", "table-get-absent")
def table_get(work: Workshop, name: str) -> Part:
    table, keys = work.table, work.absent() if name.endswith("absent") else work.searched(work.keys)
    return lambda: work.core._time_table_get(table, keys), SEARCHES


@part("merge-2", "merge-4", "merge-8", "merge-16")
def merge(work: Workshop, name: str) -> Part:
    ways = int(name.split("-")[1])
    memtables = tuple(work.memtable(work.keys[way::ways]) for way in range(ways))
    view = work.core.View(work.directory, memtables, ())
    return lambda: work.core._time_merge(view), COUNT


@part("merge-of-a-table")
def merge_of_a_table(work: Workshop, name: str) -> Part:
    view = work.core.View(work.directory, (), ((work.table,),))
    return lambda: work.core._time_merge(view), COUNT


@part("public-put", "public-get-memtable", "public-get-table", "public-scan-memtable", "public-scan-table")
def public(work: Workshop, name: str) -> Part:
    import lsm

    keys, place = work.keys, tempfile.mkdtemp(dir=work.place)
    db = lsm.open(place, memtable_bytes=1 << 30)  # so that public-put never flushes
    work.opened.append(db)
    if name == "public-put":
        return lambda: [db.put(key, VALUE) for key in keys[:SEARCHES]], SEARCHES
    db.write_many([(key, VALUE) for key in keys])
    if name.endswith("-table"):
        db.compact()
    if "get" in name:
        wanted = random.Random(2).choices(keys, k=SEARCHES)
        return lambda: [db.get(key) for key in wanted], SEARCHES
    return lambda: sum(1 for _ in db.scan()), COUNT


def make(work: Workshop, name: str) -> Part | None:
    """The loop of a part, called once, and how many operations it does; None when this build has no door to it."""
    try:
        loop, operations = PARTS[name](work, name)
        loop()
        return loop, operations
    except AttributeError as missing:
        if getattr(missing, "obj", work.core) is not work.core:
            raise
        return None


def seconds_of(loop: Callable[[], object]) -> float:
    """Of one call, by as many calls as it takes for the clock to be exact."""
    calls, took = 0, 0.0
    while took < LEAST_SECONDS:
        start = perf_counter()
        loop()
        took += perf_counter() - start
        calls += 1
    return took / calls


def measure(names: list[str], repeat: int) -> dict[str, float]:
    """Nanoseconds an operation of each part: the best of `repeat`, since what disturbs only ever adds."""
    from lsm import _core

    place = tempfile.mkdtemp(prefix="parts-")
    found = {}
    try:
        for name in names:
            work = Workshop(_core, tempfile.mkdtemp(dir=place))
            made = make(work, name)
            if made is not None:
                loop, operations = made
                found[name] = min(seconds_of(loop) for _ in range(repeat)) / operations * 1e9
            work.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="parts whose name holds this")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    print(json.dumps(measure([name for name in PARTS if arguments.only in name], arguments.repeat)))


if __name__ == "__main__":
    main()
