"""lsm against plyvel (LevelDB) and rocksdict (RocksDB), with Python's dict as the floor; see README.md.

    python benchmarks/versus.py       5 rounds of 300,000 records, each store in a fresh process
    python benchmarks/versus.py --rounds 3 --records 100000 --json figures.json

The parent starts workers and prints; a worker runs all workloads of one store once and prints timings as
JSON. Rounds go turn by turn and begin with another store each time, so a drifting machine is fair to all.
The result is the ratio within one round; absolute times depend on the machine and the hour.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict

from machine import describe_machine, directory_bytes, peak_rss_bytes, rss_bytes
from stores import MIB, PEERS, STORES, Budget, MissingStore
from workloads import WORKLOADS, Session

Figures = dict[str, list[dict]]  # store -> what its worker said in each round


def main() -> None:
    arguments = parse()
    budget = Budget(compression=arguments.compression)
    if arguments.worker:
        return work(arguments, budget)
    stores = available(arguments.stores, budget)
    machine = describe_machine(arguments.directory)
    print_heading(arguments, budget, machine)
    figures = run_rounds(stores, arguments)
    rows = [summarize(index, figures) for index in range(len(WORKLOADS))]
    for name, note in stores.items():
        print(f"  {name:<10} {note}")
    print()
    print_table(rows, stores)
    print_sizes(figures)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {
                    "machine": machine,
                    "budget": asdict(budget),
                    "records": arguments.records,
                    "seed": arguments.seed,
                    "rows": rows,
                    "rounds": figures,
                },
                file,
                indent=1,
            )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--stores", default=",".join(STORES), help="comma-separated, of: " + ", ".join(STORES)
    )
    parser.add_argument("--compression", choices=("default", "none"), default="default")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where the databases are written")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write every figure of every round there")
    parser.add_argument("--worker", choices=tuple(STORES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.stores = arguments.stores.split(",")
    for name in arguments.stores:
        if name not in STORES:
            parser.error(f"no store is called {name!r}; there are {', '.join(STORES)}")
    if arguments.records < 1000 or arguments.rounds < 1:
        parser.error("at least 1000 records and 1 round")
    return arguments


def available(names: list[str], budget: Budget) -> dict[str, str]:
    """The stores that open here, with version and what is to be said of each; the others are told of."""
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            try:
                store = STORES[name](os.path.join(place, "probe"), budget)
            except MissingStore as missing:
                print(f"LEFT OUT: {missing}\n", file=sys.stderr)
                continue
            found[name] = f"{store.version()}: {store.describe()}"
            store.close()
    if not found:
        sys.exit("nothing to measure")
    return found


def work(arguments: argparse.Namespace, budget: Budget) -> None:
    session = Session(
        STORES[arguments.worker], budget, arguments.directory, arguments.records, arguments.seed
    )
    before, timings, size = rss_bytes(), [], None
    for workload in WORKLOADS:
        timing = workload.run(session)
        timings.append(timing and timing[1] / timing[0] * 1e6)
        if workload.name.startswith("reopen"):
            size = directory_bytes(session.store.path)[0]
    session.store.close()
    memory = peak_rss_bytes() - before
    print(json.dumps({"microseconds": timings, "directory_bytes": size, "memory_bytes": memory}))


def run_rounds(stores: dict[str, str], arguments: argparse.Namespace) -> Figures:
    names, figures = list(stores), {name: [] for name in stores}
    for turn in range(arguments.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            show(f"round {turn + 1} of {arguments.rounds}: {name}")
            figures[name].append(run_worker(name, arguments, arguments.seed + 10 * turn))
    show("")
    return figures


def show(progress: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{progress:<40}\r", end="", file=sys.stderr, flush=True)


def run_worker(name: str, arguments: argparse.Namespace, seed: int) -> dict:
    place = tempfile.mkdtemp(prefix="versus-", dir=arguments.directory)
    command = [
        sys.executable,
        os.path.abspath(__file__),
        "--worker",
        name,
        "--records",
        str(arguments.records),
        "--seed",
        str(seed),
        "--compression",
        arguments.compression,
        "--directory",
        place,
    ]
    try:
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"\n{name} failed (its message is above); a comparison without it would be misleading")
        return json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(place, ignore_errors=True)


def summarize(index: int, figures: Figures) -> dict:
    """Medians over the rounds, and how many times as fast as the faster peer lsm was in each round."""
    workload = WORKLOADS[index]
    times = {name: [round_["microseconds"][index] for round_ in rounds] for name, rounds in figures.items()}
    medians = {name: None if None in each else statistics.median(each) for name, each in times.items()}
    row = {
        "workload": workload.name,
        "target": workload.target,
        "ratio": None,
        "met": None,
        "microseconds": medians,
    }
    peers = [times[name] for name in PEERS if name in times]
    if "lsm" in times and peers:
        ratios = [min(others) / ours for ours, *others in zip(times["lsm"], *peers)]
        row["ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        row["met"] = None if workload.target is None else row["ratio"]["median"] >= workload.target
    return row


def print_heading(arguments: argparse.Namespace, budget: Budget, machine: dict) -> None:
    for name, value in machine.items():
        print(f"{name:<12} {value}")
    print(f"\n{arguments.records:,} records, 16-byte random keys, 100-byte values that compress to half,")
    print(f"median of {arguments.rounds} rounds, a fresh process each. Every store:")
    print(
        f"memtable {budget.memtable_bytes // MIB} MiB, block cache {budget.cache_bytes // MIB} MiB, blocks "
        f"{budget.block_bytes} bytes, bloom {budget.bloom_bits} bits a key, log on, no fsync."
    )


def print_table(rows: list[dict], stores: dict[str, str]) -> None:
    print(
        f"{'µs per operation':<23}"
        + "".join(f"{name:>11}" for name in stores)
        + f"{'lsm against faster peer':>30}{'target':>8}  met"
    )
    for row in rows:
        times = [row["microseconds"][name] for name in stores]
        cells = "".join(f"{shown(time):>11}" for time in times)
        ratio, target = row["ratio"], row["target"]
        against = f"{ratio['median']:.2f}x ({ratio['min']:.2f}..{ratio['max']:.2f})" if ratio else "-"
        verdict = {True: "yes", False: "NO", None: ""}[row["met"]]
        print(f"{row['workload']:<23}{cells} {against:>29}{f'{target}x' if target else '':>8}  {verdict}")


def shown(microseconds: float | None) -> str:
    if microseconds is None:
        return "-"
    return f"{microseconds:.3f}" if microseconds < 100 else f"{microseconds / 1e3:,.1f} ms"


def print_sizes(figures: Figures) -> None:
    print("\nof the whole process, its databases closed at the end (median):")
    for name, rounds in figures.items():
        memory = statistics.median(round_["memory_bytes"] for round_ in rounds) / MIB
        size = statistics.median(round_["directory_bytes"] or 0 for round_ in rounds) / MIB
        disk = f", directory after compact and reopen {size:.1f} MiB" if size else ""
        print(f"  {name:<10} peak memory {memory:,.0f} MiB above the records{disk}")


if __name__ == "__main__":
    main()
