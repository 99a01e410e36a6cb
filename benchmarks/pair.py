"""Two engines of this project in one process, by turns: what one costs beside the other, to a few parts in a hundred.

    python benchmarks/pair.py hashlog lsm
    python benchmarks/pair.py hashlog lsm --records 50000 --rounds 9 --cpu

Prints for each workload the best microseconds of both, the ratio of these, and the median of the ratios of the rounds. In a round
both do the same directly one after the other, each first in turn; what was read is checked outside of the time. `--cpu` counts the
processor time of the calling thread: for a machine that others use too. What background threads do is not in it then.
"""
import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable

import lsm
from records import VALUE_BYTES, ValuePool, fresh, random_keys

BATCH = 100
Work = Callable[[lsm.Engine, list[bytes], list[bytes]], object]


def put(db: lsm.Engine, keys: list[bytes], values: list[bytes]) -> None:
    write = db.put
    for key, value in zip(keys, values, strict=True):
        write(key, value)


def get(db: lsm.Engine, keys: list[bytes], values: list[bytes]) -> None:
    read = db.get
    for key in keys:
        read(key)


def multi_get(db: lsm.Engine, keys: list[bytes], values: list[bytes]) -> None:
    for start in range(0, len(keys), BATCH):
        db.multi_get(keys[start : start + BATCH])


def compact(db: lsm.Engine, keys: list[bytes], values: list[bytes]) -> None:
    db.compact()
    get(db, keys, values)               # what is read afterwards is in the cache as far as that goes


STAGES: list[tuple[str, Work, bool]] = [        # name, work, is it measured
    ("put", put, True),
    ("get, just written", get, True),
    ("put over an old value", put, True),
    ("get, just written again", get, True),
    ("", compact, False),
    ("get, after compact()", get, True),
    ("multi_get of 100", multi_get, True),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Two engines in one process, by turns.")
    parser.add_argument("engines", nargs=2, choices=lsm.engine_names())
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="processor time of the calling thread")
    arguments = parser.parse_args()
    clock = time.thread_time if arguments.cpu else time.perf_counter
    rounds = [round_(arguments.engines, arguments.records, number, clock) for number in range(arguments.rounds)]
    one, other = arguments.engines
    print(f"{arguments.records:,} records of 16 + {VALUE_BYTES} bytes, {arguments.rounds} rounds, "
          f"{'processor time' if arguments.cpu else 'time'} in µs\n")
    print(f"| | {one} | {other} | ratio of the best | median ratio |\n|---|---|---|---|---|")
    for name in rounds[0]:
        pairs = [found[name] for found in rounds]
        best = [min(pair[side] for pair in pairs) for side in (0, 1)]
        middle = statistics.median(mine / theirs for mine, theirs in pairs)
        print(f"| {name} | {best[0]:.2f} | {best[1]:.2f} | {best[0] / best[1]:.2f} | {middle:.2f} |")


def round_(engines: list[str], records: int, number: int, clock: Callable[[], float]) -> dict[str, tuple[float, float]]:
    """Microseconds of both, by workload."""
    keys = random_keys(records, seed=number)
    values = ValuePool(VALUE_BYTES, number).of_all(keys)
    random.Random(number).shuffle(rows := list(zip(fresh(keys), values, strict=True)))
    asked, expected = [key for key, _ in rows], [value for _, value in rows]
    found = {}
    with tempfile.TemporaryDirectory() as place, \
            lsm.open(f"{place}/0", engine=engines[0]) as first, lsm.open(f"{place}/1", engine=engines[1]) as second:
        for name, work, measured in STAGES:
            rows_of = (keys, values) if work is put else (asked, expected)
            took = {}
            for side in (0, 1) if number % 2 else (1, 0):
                begun = clock()
                work((first, second)[side], *rows_of)
                took[side] = (clock() - begun) / records * 1e6
            if measured:
                found[name] = (took[0], took[1])
        for db in (first, second):
            if db.multi_get(asked) != expected:
                raise AssertionError(f"{db!r} holds other values than were written")
    return found


if __name__ == "__main__":
    main()
