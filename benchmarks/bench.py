"""lsm beside dict, LevelDB, RocksDB, LMDB and others: named workloads, one command. See README.md beside this.

    python benchmarks/bench.py                                     everything, 300,000 records, 3 rounds
    python benchmarks/bench.py --records 1000000 --goals           what the goals are judged by
    python benchmarks/bench.py --engines                           the engines of this project side by side
    python benchmarks/bench.py --workloads readrandom,readseq --state cached --stores lsm,lmdb --rounds 1

Prints the machine, what every store was given, medians and ratios, memory, disk, and the goals, met or not.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, replace

from goals import GOALS, MEMBERS, PYLSM
from machine import describe_machine
from plots import plot_ratios, require_matplotlib
from report import judge, print_goals, print_rows, rows_of
from sizes import print_sizes, size_rows
from stores import ENGINE_RECORDS, MIB, Budget, MissingStore, engine_names, store_names, store_type
from turns import Plan, run_rounds
from workloads import ENGINE_STAGES, STAGES, WORKLOADS, Stage, stages_of

MOST_BYTES = 2 << 30  # keys and values of one database: big values get fewer records


def main() -> None:
    arguments = parse()
    stores = available(arguments.stores, arguments.budget)
    plan = Plan(
        stores=list(stores),
        stages=arguments.stages,
        records=min(arguments.records, MOST_BYTES // (16 + arguments.value_bytes)),
        value_bytes=arguments.value_bytes,
        rounds=arguments.rounds,
        seed=arguments.seed,
        directory=arguments.directory,
        budget=arguments.budget,
    )
    machine = describe_machine(arguments.directory)
    print_heading(plan, machine, stores)
    rounds = run_rounds(plan)
    rows, sizes, judged = rows_of(plan, rounds), size_rows(plan, rounds), judge(rounds)
    print_rows(rows, plan.stores)
    print_sizes(sizes, plan.stores)
    print_goals(judged, plan.records)
    said = {"machine": machine, "stores": stores, "plan": asdict(plan)}
    said |= {"rows": rows, "sizes": sizes, "goals": judged, "rounds": rounds}
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(said, file, indent=1)
    if arguments.svg:
        plot_ratios(said, arguments.svg)


def print_heading(plan: Plan, machine: dict, stores: dict[str, str]) -> None:
    for name, value in machine.items():
        print(f"{name:<12} {value}")
    budget = plan.budget
    print(f"\n{plan.records:,} records, 16-byte random keys, {plan.value_bytes}-byte values that compress to half,")
    print(f"median of {plan.rounds} rounds, a fresh process for each store and stage, turn by turn. Every store that")
    print(f"has such a thing: memtable {budget.memtable_bytes // MIB} MiB, block cache {budget.cache_bytes // MIB} MiB")
    print("(state cached: four times the data; disk and cold: a fifth of the data, files in the page cache or dropped")
    print(f"from it), blocks of {budget.block_bytes} bytes, filter of {budget.bloom_bits} bits a key, log on; no sync but")
    print("in fillsync, where every call syncs. What a process that is killed had written is kept by all but dict,")
    print("SortedDict and dbm.")
    for name, note in stores.items():
        print(f"  {name:<11} {note}")
    print(flush=True)


def available(names: list[str], budget: Budget) -> dict[str, str]:
    """The stores that open here, with version and what is to be said of each; the others are told of."""
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            try:
                store = store_type(name)(f"{place}/probe", budget)
            except MissingStore as missing:
                print(f"LEFT OUT: {missing}\n", file=sys.stderr)
                continue
            found[name] = f"{store.version()}: {store.describe()}"
            store.close()
    if not found:
        sys.exit("nothing to measure")
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", type=int, help=f"default: 300,000; with --engines {ENGINE_RECORDS:,}, as many as pylsm gets")
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", default=",".join(store_names()), help="comma-separated (default: %(default)s)")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="comma-separated (default: all)")
    states = list(dict.fromkeys(stage.state for stage in STAGES))
    parser.add_argument("--state", default=",".join(states), help="comma-separated (default: %(default)s)")
    parser.add_argument("--goals", action="store_true", help="only what the goals need: their stores and workloads")
    parser.add_argument("--engines", action="store_true", help="the engines of this project on the standard workloads")
    parser.add_argument("--compression", choices=("default", "none"), default="default")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where the databases are written")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--svg", metavar="FILE", help="draw the ratios there (needs matplotlib)")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every round there")
    arguments = parser.parse_args()
    for name, known in (("stores", store_names()), ("workloads", list(WORKLOADS)), ("state", states)):
        chosen = getattr(arguments, name).split(",")
        setattr(arguments, name, chosen)
        for each in chosen:
            if each not in known:
                parser.error(f"--{name}: there is no {each!r}; there are {', '.join(known)}")
    if arguments.records is None:
        arguments.records = ENGINE_RECORDS if arguments.engines else 300_000
    if arguments.records < 1000 or arguments.rounds < 1 or arguments.value_bytes < 0:
        parser.error("at least 1000 records, 1 round, and no value of less than 0 bytes")
    if arguments.svg:
        require_matplotlib()
    arguments.budget = Budget(compression=arguments.compression)
    for path in filter(None, (arguments.svg, arguments.json)):
        if not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
            parser.error(f"{path}: nothing can be written there")
    arguments.stages = stages_of(arguments.workloads, arguments.state)
    nowhere = set(arguments.workloads).difference(*(stage.workloads for stage in arguments.stages))
    if nowhere and len(arguments.workloads) < len(WORKLOADS):
        parser.error(f"--state {','.join(arguments.state)}: there is no {', '.join(sorted(nowhere))} in it")
    if arguments.goals:
        rivals = [name for rival, members in MEMBERS.items() for name in members if rival != PYLSM]
        arguments.stores = [name for name in arguments.stores if name in ("lsm", *rivals)]
        arguments.stages = goal_stages(arguments.stages)
    if arguments.engines:
        arguments.stores = engine_names()
        arguments.stages = [replace(stage, workloads=ENGINE_STAGES[stage.name])
                            for stage in STAGES if stage.name in ENGINE_STAGES]  # fmt: skip
    return arguments


def goal_stages(stages: list[Stage]) -> list[Stage]:
    wanted = {(goal.workload, goal.stage) for goal in GOALS}
    kept = []
    for stage in stages:
        workloads = tuple(name for name in stage.workloads if (name, stage.name) in wanted)
        if workloads:
            kept.append(Stage(stage.name, stage.state, workloads))
    return kept


if __name__ == "__main__":
    main()
