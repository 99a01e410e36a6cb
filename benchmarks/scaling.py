"""Cost of an operation from ten thousand to ten million records, and write amplification against theory.

    python benchmarks/scaling.py --json scaling.json --plot scaling.svg       all sizes: an hour or two, 16 GB of memory
    python benchmarks/scaling.py --largest 300000 --stores lsm,rocksdict      minutes
    python benchmarks/plots.py scaling.json scaling.svg                       drawn later, from the JSON

Workloads, processes, turns and budgets are those of bench.py: fillrandom into a new database; the reads after
compaction and reopening, with the default cache, which the largest sizes outgrow by far (their files stay in the page
cache). What grows with the records is the result: the last columns are how many times as much an operation costs at
the largest size as at the smallest. A dict is what the processor's own caches do to random access.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, replace

import amplification
from bench import available
from goals import cost
from machine import describe_machine
from plots import plot_scaling, require_matplotlib
from stores import Budget, store_names
from turns import Plan, run_rounds
from workloads import Stage

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
STORES = "lsm,plyvel,rocksdict,lmdb,dict"
STAGES = [
    Stage("write", "new", ("fillrandom",)),
    Stage("compacted", "compacted", ("readrandom", "multiget", "readseq", "seekrandom")),
]
WITHIN = 0.1  # of theory


def main() -> None:
    arguments = parse()
    stores = available(arguments.stores, Budget())
    plan = Plan(list(stores), STAGES, 0, 100, arguments.rounds, arguments.seed, arguments.directory, Budget())
    machine = describe_machine(arguments.directory)
    rows: list[dict] = []
    for records in arguments.sizes:
        print(f"{records:,} records")
        rows += rows_of(replace(plan, records=records))
    with tempfile.TemporaryDirectory(prefix="scaling-", dir=arguments.directory) as place:
        amplified = amplification.measure(arguments.amplified, place) if "lsm" in stores else []
    result = {"machine": machine, "stores": stores, "plan": asdict(plan), "rows": rows, "amplification": amplified}
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)
    print_costs(rows, arguments.sizes)
    print_amplification(amplified)
    if arguments.plot:
        plot_scaling(result, arguments.plot)


def rows_of(plan: Plan) -> list[dict]:
    """A row for each workload and store of one size: the median over the rounds."""
    rounds, rows = run_rounds(plan), []
    for stage in plan.stages:
        for workload in stage.workloads:
            for store in plan.stores:
                costs = [cost(stages[stage.name][store], workload, "seconds") for stages in rounds]
                known = [each * 1e6 for each in costs if each is not None]
                if known:
                    rows.append({"workload": workload, "store": store, "records": plan.records,
                                 "microseconds": statistics.median(known), "rounds": known})  # fmt: skip
    return rows


def print_costs(rows: list[dict], sizes: list[int]) -> None:
    found = {(row["workload"], row["store"], row["records"]): row["microseconds"] for row in rows}
    print(f"\n{'µs an operation':<16}{'':<12}" + "".join(f"{size:>12,}" for size in sizes) + f"{'grows':>9}")
    for workload, store in dict.fromkeys((row["workload"], row["store"]) for row in rows):
        costs = [found.get((workload, store, size)) for size in sizes]
        cells = "".join(f"{'-' if each is None else format(each, '.3f'):>12}" for each in costs)
        growth = f"{costs[-1] / costs[0]:>8.2f}x" if costs[0] and costs[-1] else ""
        print(f"{workload:<16}{store:<12}{cells}{growth}")


def print_amplification(rows: list[dict]) -> None:
    if not rows:
        return
    print("\nbytes written to tables for each byte flushed; the goal is within 10 % of theory")
    print(f"{'policy':<10}{'records':>12}{'levels':>8}{'theory':>9}{'measured':>10}{'off by':>9}{'with log':>10}")
    for row in rows:
        off = row["measured"] / row["theory"] - 1
        verdict = "" if abs(off) <= WITHIN else "  LESS than theory" if off < 0 else "  MORE than theory"
        print(f"{row['policy']:<10}{row['records']:>12,}{row['levels']:>8}{row['theory']:>9.2f}"
              f"{row['measured']:>10.2f}{off:>8.1%}{row['with_log']:>10.2f}{verdict}")  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="no size above it (default: %(default)s)")
    parser.add_argument("--stores", default=STORES, help="comma-separated (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--amplified", type=int, default=300_000, help="records of the write amplification")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where the databases are written")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="draw it there, as SVG (needs matplotlib)")
    arguments = parser.parse_args()
    arguments.stores = arguments.stores.split(",")
    for name in arguments.stores:
        if name not in store_names():
            parser.error(f"--stores: there is no {name!r}; there are {', '.join(store_names())}")
    arguments.sizes = [size for size in SIZES if size <= arguments.largest] or [max(arguments.largest, 1000)]
    if arguments.plot:
        require_matplotlib()
    return arguments


if __name__ == "__main__":
    main()
