"""The tables of a run: medians and ratios of every workload, and the goals. Sizes and what else was seen: sizes.py."""

import statistics

from goals import GOALS, MEMBERS, PYLSM, TREES, cost, ratios
from turns import Plan

WHOLE = frozenset({"flush", "compact", "reopen", "recover"})  # operations that are shown in milliseconds


def rows_of(plan: Plan, rounds: list) -> list[dict]:
    """A row for each workload of each stage: medians in µs an operation, ratios of each rival, and their spread."""
    rows = []
    for stage in plan.stages:
        for workload in stage.workloads:
            medians = {}
            for name in plan.stores:
                costs = [cost(stages[stage.name][name], workload, "seconds")
                         for stages in rounds if name in stages[stage.name]]  # fmt: skip
                costs = [each for each in costs if each is not None]
                medians[name] = statistics.median(costs) * 1e6 if costs else None
            against = {rival: spread(ratios(rounds, stage.name, workload, rival)) for rival in MEMBERS}
            rows.append({"workload": workload, "stage": stage.name, "state": stage.state,
                         "microseconds": medians, "ratios": against,
                         "fewer": fewer(rounds, stage.name, workload, plan.stores)})  # fmt: skip
    return rows


def spread(values: list[float]) -> dict | None:
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def fewer(rounds: list, stage: str, workload: str, stores: list[str]) -> dict[str, int]:
    """Stores that did fewer operations than the most, and how many; none where reads go on for a set time."""
    done = {}
    if workload.startswith("readwhilewriting"):
        return {}
    for name in stores:
        measure = rounds[0][stage].get(name, {}).get("measures", {}).get(workload)
        if measure:
            done[name] = measure["operations"]
    most = max(done.values(), default=0)
    return {name: count for name, count in done.items() if count < most}


def print_rows(rows: list[dict], stores: list[str]) -> None:
    rivals = [rival for rival in MEMBERS if any(row["ratios"][rival] for row in rows)]
    print(f"{'µs an operation':<25}{'state':<13}" + "".join(f"{name:>11}" for name in stores)
          + "".join(f"{heading(rival):>25}" for rival in rivals))  # fmt: skip
    for row in rows:
        if row["workload"] == "" or not any(row["microseconds"].values()):
            continue
        cells = "".join(f"{shown(row, name):>11}" for name in stores)
        against = "".join(f"{shown_spread(row['ratios'][rival]):>25}" for rival in rivals)
        print(f"{row['workload']:<25}{row['state']:<13}{cells}{against}")
    for row in rows:
        for name, count in row["fewer"].items():
            print(f"  * {name} did {count:,} operations of {row['workload']} ({row['state']}): it is slow")


def heading(rival: str) -> str:
    return "faster of the trees/lsm" if rival == TREES else f"{rival}/lsm"


def shown(row: dict, name: str) -> str:
    microseconds = row["microseconds"][name]
    if microseconds is None:
        return "-"
    star = "*" if name in row["fewer"] else ""
    if row["workload"] in WHOLE:
        return f"{microseconds / 1e3:,.1f} ms{star}"
    return f"{microseconds:.3f}{star}" if microseconds < 1000 else f"{microseconds:,.0f}{star}"


def shown_spread(ratio: dict | None) -> str:
    return f"{ratio['median']:.2f}x ({ratio['min']:.2f}..{ratio['max']:.2f})" if ratio else "-"


def judge(rounds: list) -> list[dict]:
    """Every goal that this run measured, with the ratio reached."""
    judged = []
    for goal in GOALS:
        for rival, factor in goal.factors.items():
            ratio = spread(ratios(rounds, goal.stage, goal.workload, rival, goal.measure))
            if ratio:
                judged.append({"workload": goal.workload, "stage": goal.stage, "rival": rival, "goal": factor,
                               "measure": goal.measure, "ratio": ratio, "met": ratio["median"] >= factor})  # fmt: skip
    return judged


def print_goals(judged: list[dict], records: int) -> None:
    if not judged:
        return
    print(f"\n{'goal':<25}{'stage':<13}{'against':<9}{'wanted':>8}{'reached':>26}{'short by':>10}")
    for row in judged:
        verdict = "met" if row["met"] else f"NOT MET {row['goal'] / row['ratio']['median']:.2f}x"
        print(f"{row['workload']:<25}{row['stage']:<13}{row['rival']:<9}{row['goal']:>7}x"
              f"{shown_spread(row['ratio']):>26}  {verdict}")  # fmt: skip
    met = sum(row["met"] for row in judged)
    print(f"{met} of {len(judged)} met" + ("" if records == 1_000_000 or {row["rival"] for row in judged} == {PYLSM}
                                           else "; they are meant for 1,000,000 records"))
