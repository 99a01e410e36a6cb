"""Plots of a run, as SVG, from its JSON: bars of ratios by group (bench.py), lines of cost by size (scaling.py).

    python benchmarks/plots.py RESULT.json FILE.svg

The same JSON gives the same SVG, byte for byte. Needs matplotlib, and only when something is drawn.
"""

import argparse
import json
import sys
from types import ModuleType

GROUPS = {
    "writes": ("write", "sustained"),
    "syncs, whole operations": ("sync", "whole"),
    "reads: memtable": ("memtable",),
    "reads: uncompacted": ("uncompacted",),
    "reads: compacted": ("compacted",),
    "reads: cached": ("cached",),
    "reads: data five times the cache": ("disk", "cold"),
    "threads, YCSB": ("threads", "ycsb"),
}
RIVALS = {"trees": "faster of LevelDB and RocksDB", "lmdb": "LMDB"}
COLOURS = {"trees": "#4269d0", "lmdb": "#efb118"}
LINES = {"lsm": "#d62728", "plyvel": "#4269d0", "rocksdict": "#6cc5b0", "lmdb": "#efb118", "dict": "#9c6b4e"}


def require_matplotlib() -> ModuleType:
    try:
        import matplotlib
    except ImportError as error:
        sys.exit(f"plots need matplotlib ({error}): pip install '.[bench]' in the checkout")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lsm", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as pyplot

    return pyplot


def save(pyplot: ModuleType, figure, path: str) -> None:
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def plot_ratios(result: dict, path: str) -> None:
    """A panel for each group; a bar is how many times as long the rival takes, its line the rounds' spread."""
    pyplot = require_matplotlib()
    panels = {group: [row for row in result["rows"] if row["stage"] in stages and any(
        row["ratios"].get(rival) for rival in RIVALS)] for group, stages in GROUPS.items()}  # fmt: skip
    panels = {group: rows for group, rows in panels.items() if rows}
    if not panels:
        sys.exit("there is no ratio to draw: lsm and a rival have to be measured in one run")
    heights = [len(rows) + 1.5 for rows in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(8, 0.3 * sum(heights)), sharex=True, squeeze=False, height_ratios=heights
    )
    for axis, (group, rows) in zip(axes[:, 0], panels.items()):
        draw_panel(axis, group, rows)
    axes[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    plan = result["plan"]
    axes[-1, 0].set_xlabel(
        f"times as long as lsm: {plan['records']:,} records, {plan['value_bytes']}-byte values, "
        f"median of {plan['rounds']} rounds"
    )
    save(pyplot, figure, path)


def draw_panel(axis, group: str, rows: list[dict]) -> None:
    several = len({row["stage"] for row in rows}) > 1
    for place, (rival, label) in enumerate(RIVALS.items()):
        for index, row in enumerate(rows):
            ratio = row["ratios"].get(rival)
            if ratio:
                at = index + (place - 0.5) * 0.38
                spread = [[ratio["median"] - ratio["min"]], [ratio["max"] - ratio["median"]]]
                axis.barh(at, ratio["median"] - 1, 0.36, left=1, xerr=spread, color=COLOURS[rival],
                          error_kw={"linewidth": 0.7}, label=label if index == 0 else None)  # fmt: skip
    names = [f"{row['workload']} ({row['stage']})" if several else row["workload"] for row in rows]
    axis.set_yticks(range(len(rows)), names)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_title(group, loc="left", fontsize=9, fontweight="bold")
    axis.spines[["top", "right"]].set_visible(False)


def plot_scaling(result: dict, path: str) -> None:
    """A panel for each workload, a line for each store, and one for the write amplification."""
    pyplot = require_matplotlib()
    workloads = list(dict.fromkeys(row["workload"] for row in result["rows"]))
    panels = len(workloads) + bool(result["amplification"])
    deep = -(-panels // 2)
    figure, axes = pyplot.subplots(deep, 2, figsize=(9, 3 * deep), squeeze=False)
    places = iter(axes.flat)
    for workload in workloads:
        axis = next(places)
        for store in result["stores"]:
            points = [(row["records"], row["microseconds"]) for row in result["rows"]
                      if row["workload"] == workload and row["store"] == store]  # fmt: skip
            if points:
                axis.plot(*zip(*points), marker=".", label=store, color=LINES.get(store))
        axis.set(xscale="log", yscale="log", title=workload, xlabel="records", ylabel="µs an operation")
    if result["amplification"]:
        draw_amplification(next(places), result["amplification"])
    for axis in places:
        axis.set_visible(False)
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    save(pyplot, figure, path)


def draw_amplification(axis, rows: list[dict]) -> None:
    for policy, colour in (("leveled", "#d62728"), ("tiered", "#4269d0")):
        points = [row for row in rows if row["policy"] == policy]
        records = [row["records"] for row in points]
        axis.plot(records, [row["theory"] for row in points], "--", color=colour, label=f"{policy}, theory")
        axis.plot(records, [row["measured"] for row in points], ".-", color=colour, label=f"{policy}, measured")
    axis.set(title="write amplification", xlabel="records", ylabel="bytes written for each flushed", ylim=(0, None))
    axis.legend(frameon=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("result", metavar="RESULT.json", help="what bench.py or scaling.py wrote with --json")
    parser.add_argument("svg", metavar="FILE.svg")
    arguments = parser.parse_args()
    with open(arguments.result) as file:
        result = json.load(file)
    (plot_scaling if "amplification" in result else plot_ratios)(result, arguments.svg)


if __name__ == "__main__":
    main()
