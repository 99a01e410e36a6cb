"""Two commits, part by part: is anything slower? Each is built in a git worktree of its own, and they take turns.

    python benchmarks/compare.py main HEAD
    python benchmarks/compare.py v0.1.0 HEAD --only merge --rounds 9 --threshold 1.05

Prints, for each part of parts.py, nanoseconds in both and the ratio B/A: median over the rounds, smallest and largest.
What runs are the parts.py and records.py of this checkout, with the lsm of the commit; a part that one of them has no
door to is said to be missing. Exit code 1 when a part of B is slower than the threshold in the median of the rounds AND
in the best round of each, AND slower than A in every round: a machine that jumps about is not a regression.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS_TIME_LIMIT, BUILD_TIME_LIMIT = 1200, 1200


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="compare-") as place:
        trees = {}
        try:
            for side, commit in (("A", arguments.a), ("B", arguments.b)):
                trees[side] = build(commit, os.path.join(place, side))
            rounds = take_turns(trees, arguments)
        finally:
            for tree in trees.values():
                git("worktree", "remove", "--force", tree)
            git("worktree", "prune")
    rows = compared(rounds, arguments.threshold)
    print_rows(rows, arguments)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"a": arguments.a, "b": arguments.b, "rows": rows, "rounds": rounds}, file, indent=1)
    sys.exit(1 if any(row["slower"] for row in rows) else 0)


def git(*command: str) -> str:
    return subprocess.run(["git", "-C", HERE, *command], check=True, capture_output=True, text=True).stdout.strip()


def build(commit: str, tree: str) -> str:
    print(f"building {commit} ({git('log', '-1', '--format=%h %s', commit)})", file=sys.stderr, flush=True)
    git("worktree", "add", "--detach", tree, commit)
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_TIME_LIMIT,
    )  # fmt: skip
    if done.returncode != 0:
        git("worktree", "remove", "--force", tree)
        sys.exit(f"{commit} does not build:\n{done.stdout[-3000:]}")
    return tree


def take_turns(trees: dict[str, str], arguments: argparse.Namespace) -> list[dict[str, dict[str, float]]]:
    rounds = []
    for turn in range(arguments.rounds):
        order = sorted(trees, reverse=bool(turn % 2))
        rounds.append({side: run(trees[side], arguments) for side in order})
        print(f"round {turn + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    return rounds


def run(tree: str, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, os.path.join(HERE, "parts.py"), "--only", arguments.only, "--repeat", "3"]
    environment = {**os.environ, "PYTHONPATH": os.path.join(tree, "src")}
    done = subprocess.run(
        command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True, timeout=PARTS_TIME_LIMIT
    )
    if done.returncode != 0:
        sys.exit(f"the parts of {tree} failed (the message is above)")
    return json.loads(done.stdout.splitlines()[-1])


def compared(rounds: list[dict[str, dict[str, float]]], threshold: float) -> list[dict]:
    names = list(dict.fromkeys(name for turn in rounds for side in ("A", "B") for name in turn[side]))
    rows = []
    for name in names:
        both = [turn for turn in rounds if name in turn["A"] and name in turn["B"]]
        row = {"part": name, "ratio": None, "slower": False}
        for side in ("A", "B"):
            found = [turn[side][name] for turn in rounds if name in turn[side]]
            row[side] = statistics.median(found) if found else None
        if both:
            ratios = [turn["B"][name] / turn["A"][name] for turn in both]
            row["ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
            best = min(turn["B"][name] for turn in both) / min(turn["A"][name] for turn in both)
            row["slower"] = min(row["ratio"]["median"], best) > threshold and row["ratio"]["min"] > 1
        rows.append(row)
    return rows


def print_rows(rows: list[dict], arguments: argparse.Namespace) -> None:
    print(f"A is {arguments.a}, B is {arguments.b}; ratios B/A, below 1 is quicker, median of {arguments.rounds} rounds")
    print(f"{'nanoseconds an operation':<26}{'A':>12}{'B':>12}{'B/A':>24}")
    for row in rows:
        cells = "".join(f"{'missing' if row[side] is None else format(row[side], '.1f'):>12}" for side in ("A", "B"))
        ratio = row["ratio"]
        spread = f"{ratio['median']:.3f} ({ratio['min']:.3f}..{ratio['max']:.3f})" if ratio else "-"
        print(f"{row['part']:<26}{cells}{spread:>24}{'  SLOWER' if row['slower'] else ''}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("a", metavar="COMMIT_A", help="the one to hold against")
    parser.add_argument("b", metavar="COMMIT_B", help="the one that should not be slower")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", metavar="WORD", help="parts whose name holds this")
    parser.add_argument("--threshold", type=float, default=1.1, help="a median ratio above it fails (default: 1.1)")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.threshold <= 0:
        parser.error("at least one round, and a threshold above 0")
    return arguments


if __name__ == "__main__":
    main()
