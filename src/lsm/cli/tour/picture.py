"""The tree and the figures, drawn for a terminal of 80 columns; plain text in a pipe.

Reads only `lsm.Stats`. A level is drawn as wide as its share of the largest level, so a healthy leveled tree is the
pyramid of the textbooks.
"""
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

import lsm
from lsm.cli.sizes import size
from lsm.cli.tour.guide import Figure, Guide

WIDTH = 20


def draw_tree(console: Console, stats: "lsm.Stats") -> None:
    table = Table(box=box.SIMPLE, pad_edge=False, show_footer=True)
    table.add_column("level", no_wrap=True)
    table.add_column("share", justify="center", no_wrap=True, style="green", width=WIDTH)
    for name, total in (
        ("tables", f"{stats.tables:,}"),
        ("size", size(stats.bytes)),
        ("entries", f"{stats.entries:,}"),
        ("filters", size(sum(level.filter_bytes for level in stats.levels))),
        ("deletes", f"{sum(level.tombstones for level in stats.levels):,}"),
    ):
        table.add_column(name, total, justify="right", no_wrap=True)
    largest = max([level.bytes for level in stats.levels] + [stats.memtable_bytes, 1])
    table.add_row("mem", bar(console, stats.memtable_bytes, largest), "", size(stats.memtable_bytes), "", "", "")
    for level in stats.levels:
        if not level.tables:
            continue
        table.add_row(
            f"L{level.level}",
            bar(console, level.bytes, largest),
            f"{level.tables:,}",
            size(level.bytes),
            f"{level.entries:,}",
            size(level.filter_bytes),
            f"{level.tombstones:,}",
        )
    console.print(table)


def tell_effort(guide: Guide, stats: "lsm.Stats") -> None:
    """What it took to write all this, since the database was opened."""
    guide.tell(
        f"{stats.flushes} flushes, {stats.compactions} compactions, {stats.stalls} stalls (longest"
        f" {1000 * stats.longest_stall_seconds:.0f} ms). For each byte given, {stats.write_amplification:.1f} were"
        f" written; a lookup may ask {stats.read_amplification:.0f} sorted runs."
    )


def bar(console: Console, part: int, whole: int) -> str:
    if part <= 0:
        return ""
    cell = "█" if console.encoding.lower().startswith("utf") else "#"
    return cell * max(1, round(WIDTH * part / whole))


def draw_figures(console: Console, figures: Iterable[Figure]) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("what")
    for name in ("operations", "seconds", "per second"):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in figures:
        rate = f"{figure.operations / figure.seconds:,.0f}" if figure.seconds > 0 and figure.operations > 1 else ""
        table.add_row(figure.name, f"{figure.operations:,}", f"{figure.seconds:.3f}", rate)
    console.print(table)
