"""Ten million records in random order: does the store stay quick, small and right? See README.md beside this.

    python benchmarks/large.py                       10,000,000 records: some minutes and 2 GB of disk
    python benchmarks/large.py --records 300000      the same at a smaller scale; --store rocksdict: a peer

Each phase is a process of its own (so its peak memory is its own), named as in `PHASES`; the parent prints
every measure beside its target, met or missed, and exits with 0 either way: this is a report. No list of
the records is held: key i is an invertible mix of i and the value a hash of the key (records.py), so a
pair can be judged alone.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from time import perf_counter, perf_counter_ns

from compressed import BlockSampler
from machine import describe_machine, directory_bytes, peak_rss_bytes, rss_bytes
from records import RECORD_BYTES, index_of_key, nth_key, value_of_key
from stores import PEERS, STORES, Budget, MissingStore, Store

CHUNK = 10_000
MEMTABLES = 2  # one being written and one being flushed
ALLOWANCE = 150_000_000  # bytes of memory above memtables and cache
SLOW = 1_000_000  # nanoseconds from which a single put is counted as slow


def load(store: Store, arguments: argparse.Namespace) -> dict:
    """Write all records one put at a time, compact, close."""
    idle, start = arguments.idle, perf_counter()
    said = write(store, 0, arguments.records)
    said["wall_seconds"], said["memory_loading"] = perf_counter() - start, peak_rss_bytes() - idle
    start = perf_counter()
    store.compact()
    said["compact_seconds"], said["memory_compacting"] = perf_counter() - start, peak_rss_bytes() - idle
    said["directory_open"] = directory_bytes(store.path)
    said["stats"] = str(store.db.stats()) if hasattr(store.db, "stats") else ""
    start = perf_counter()
    store.close()
    said["close_seconds"], said["directory_closed"] = perf_counter() - start, directory_bytes(store.path)
    return said


def write(store: Store, first: int, count: int) -> dict:
    """Put `count` records from `first` on; every call is timed, making the records is not."""
    put, spent, slow = store.put, 0, []
    for begin in range(first, first + count, CHUNK):
        keys = map(nth_key, range(begin, min(begin + CHUNK, first + count)))
        pairs = [(key, value_of_key(key)) for key in keys]
        started = last = perf_counter_ns()
        for key, value in pairs:
            put(key, value)
            now = perf_counter_ns()
            if now - last > SLOW:
                slow.append(now - last)
            last = now
        spent += last - started
    counts = {f"{limit} ms": sum(each > limit * 1e6 for each in slow) for limit in (1, 10, 100, 1000)}
    return {"put_seconds": spent / 1e9, "longest_seconds": max(slow, default=SLOW) / 1e9, "slow": counts}


def read(store: Store, arguments: argparse.Namespace) -> dict:
    """After the clean close: every record, in order, each judged; then single gets in random order."""
    sampler = BlockSampler(arguments.budget.block_bytes, arguments.codec)
    rows, wrong, unordered, before, start = 0, 0, 0, b"", perf_counter()
    for key, value in store.scan():
        rows += 1
        unordered += key <= before
        wrong += not 0 <= index_of_key(key) < arguments.records or value != value_of_key(key)
        sampler.add(key, value)
        before = key
    said = {"rows": rows, "wrong": wrong, "unordered": unordered, "scan_seconds": perf_counter() - start}
    step = max(1, arguments.records // 100_000)
    said["gets"] = said["gets_wrong"] = 0
    for index in range(0, arguments.records, step):
        key = nth_key(index)
        said["gets"] += 1
        said["gets_wrong"] += store.get(key) != value_of_key(key)
    store.close()
    return said | {"memory_reading": peak_rss_bytes() - arguments.idle, **sampler.result()}


def die(store: Store, arguments: argparse.Namespace) -> dict:
    """Write most of one memtable of new records; the caller then kills this process, nothing closed."""
    return write(store, arguments.records, log_records(arguments.budget)) | {"files": sizes(store.path)}


def recover(store: Store, arguments: argparse.Namespace) -> dict:
    """The store was killed; opening it replayed the log. Every record written must be there."""
    count = log_records(arguments.budget)
    keys = map(nth_key, range(arguments.records, arguments.records + count))
    lost = sum(store.get(key) != value_of_key(key) for key in keys)
    store.close()
    return {"written": count, "lost": lost}


def purge(store: Store, arguments: argparse.Namespace) -> dict:
    """A fresh store: write, delete all of it, compact; what is left on disk?"""
    write(store, 0, arguments.deletes)
    start = perf_counter()
    for index in range(arguments.deletes):
        store.delete(nth_key(index))
    said: dict = {"delete_seconds": perf_counter() - start}
    store.compact()
    said["directory_open"], said["files_open"] = directory_bytes(store.path), sizes(store.path)
    store.close()
    return said | {"directory_closed": directory_bytes(store.path), "files_closed": sizes(store.path)}


def log_records(budget: Budget) -> int:
    """Records whose keys and values fill three quarters of a memtable; its own overhead is the rest."""
    return budget.memtable_bytes * 3 // 4 // RECORD_BYTES


def sizes(path: str) -> dict[str, int]:
    return {name: os.path.getsize(os.path.join(path, name)) for name in sorted(os.listdir(path))}


PHASES = {"load": load, "read": read, "die": die, "recover": recover, "purge": purge}


def work(arguments: argparse.Namespace) -> None:
    """One phase in this process: open (timed), do it, print what was seen as one line of JSON."""
    path = os.path.join(arguments.directory, "purge" if arguments.phase == "purge" else "data")
    STORES[arguments.store].load_package()  # neither its time nor its memory is counted
    arguments.idle = rss_bytes()
    start = perf_counter()
    store = STORES[arguments.store](path, arguments.budget)
    opened = perf_counter() - start
    arguments.codec = codec_of(store)
    said = PHASES[arguments.phase](store, arguments)
    print(json.dumps({"open_seconds": opened, "codec": arguments.codec, **said}), flush=True)
    if arguments.phase == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def codec_of(store: Store) -> str:
    """The compression of the last level, where everything is after compact()."""
    if store.name == "lsm":
        options = store.db.options
        return getattr(options, "last_level_compression", None) or options.compression
    return store.compression


def run_phase(phase: str, arguments: argparse.Namespace, place: str) -> dict:
    command = [
        sys.executable,
        os.path.abspath(__file__),
        "--phase",
        phase,
        "--store",
        arguments.store,
        "--records",
        str(arguments.records),
        "--deletes",
        str(arguments.deletes),
        "--compression",
        arguments.compression,
        "--directory",
        place,
    ]
    start = perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    print(f"  {phase}: {perf_counter() - start:.1f} s", flush=True)
    if done.returncode != (-signal.SIGKILL if phase == "die" else 0):
        return {
            "failed": f"the process of phase {phase!r} ended with {done.returncode}; its message is above"
        }
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    arguments = parse()
    if arguments.phase:
        return work(arguments)
    from large_report import print_report  # only the parent prints

    try:
        STORES[arguments.store].load_package()
    except MissingStore as missing:
        sys.exit(f"nothing to measure: {missing}")
    place = tempfile.mkdtemp(prefix="large-", dir=arguments.directory)
    machine = describe_machine(arguments.directory)
    for name, value in machine.items():
        print(f"{name:<12} {value}")
    version = STORES[arguments.store].version()
    print(f"\n{arguments.store} {version}, {arguments.records:,} records in random order; phases:")
    try:
        said = {phase: run_phase(phase, arguments, place) for phase in PHASES}
    finally:
        shutil.rmtree(place, ignore_errors=True)
    limit = MEMTABLES * arguments.budget.memtable_bytes + arguments.budget.cache_bytes + ALLOWANCE
    rows = print_report(said, arguments.records, arguments.deletes, limit)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"machine": machine, "records": arguments.records, "rows": rows, "phases": said},
                file,
                indent=1,
            )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument(
        "--deletes", type=int, help="records of the last phase (default: a million, at most --records)"
    )
    parser.add_argument("--store", choices=("lsm", *PEERS), default="lsm")
    parser.add_argument("--compression", choices=("default", "none"), default="default")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where the databases are written")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there")
    parser.add_argument("--phase", choices=tuple(PHASES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.records < CHUNK:
        parser.error(f"at least {CHUNK:,} records")
    arguments.deletes = arguments.deletes or min(1_000_000, arguments.records)
    arguments.budget = Budget(compression=arguments.compression)
    return arguments


if __name__ == "__main__":
    main()
