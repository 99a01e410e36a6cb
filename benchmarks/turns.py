"""Rounds of a benchmark: each store in a fresh process for each stage, turn by turn, another one first each time.

Invariant: between two measures of one workload by two stores lie only the processes of the stores between
them, so a machine that slowly changes is the same for all. A process that fails ends the run: a comparison
without it would mislead.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from time import perf_counter

from stores import Budget, store_type
from workloads import Stage

TIME_LIMIT = 3600  # seconds of one process: a store that hangs
Result = dict  # what worker.py printed


@dataclass(frozen=True)
class Plan:
    stores: list[str]
    stages: list[Stage]
    records: int
    value_bytes: int
    rounds: int
    seed: int
    directory: str
    budget: Budget


def run_rounds(plan: Plan) -> list[dict[str, dict[str, Result]]]:
    """For each round: stage name -> store name -> result."""
    rounds = []
    for turn in range(plan.rounds):
        stages: dict[str, dict[str, Result]] = {}
        for stage in plan.stages:
            names = [name for name in plan.stores if measured_in(name, stage.state)]
            first = turn % len(names) if names else 0
            stages[stage.name] = {}
            show(f"round {turn + 1} of {plan.rounds}: {stage.name}:")
            for name in names[first:] + names[:first]:
                start = perf_counter()
                stages[stage.name][name] = run_worker(plan, stage, name, turn)
                show(f" {name} {perf_counter() - start:.1f}s")
            show("\n")
        rounds.append(stages)
    return rounds


def show(progress: str) -> None:
    print(progress, end="", file=sys.stderr, flush=True)


def measured_in(store: str, state: str) -> bool:
    states = store_type(store).states
    return states is None or state in states


def run_worker(plan: Plan, stage: Stage, store: str, turn: int) -> Result:
    place = tempfile.mkdtemp(prefix="bench-", dir=plan.directory)
    job = {
        "store": store,
        "state": stage.state,
        "workloads": stage.workloads,
        "records": plan.records,
        "value_bytes": plan.value_bytes,
        "seed": plan.seed + 10 * turn,
        "directory": place,
        "budget": asdict(plan.budget),
    }
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")
    try:
        done = subprocess.run(
            [sys.executable, script, json.dumps(job)], stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"{store} was not done with stage {stage.name} after {TIME_LIMIT} seconds")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if done.returncode != 0:
        sys.exit(f"{store} failed in stage {stage.name} (its message is above); without it, figures would mislead")
    return json.loads(done.stdout.splitlines()[-1])
