"""Picture: a frame drawn for a terminal; plain text in a pipe. Reads only the frame.

A level's bar is its share of its limit: full and red where something is due. What a frame cannot know it does not show.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lsm.cli.top.frame import DATABASE, FILES, SERVER, Event, Frame, Level
from lsm.cli.sizes import size

WIDTH = 14
SOURCES = {
    FILES: "from its files: gets, cache and stalls are counted by the process that writes it",
    SERVER: "as its server tells",
    DATABASE: "as it was opened to be read",
}
SECONDS = ("stall_seconds", "longest_stall_seconds", "slowed_seconds")
EVENTS = 8                  # lines of what happened last


def draw(console: Console, frame: Frame, past: Sequence[tuple[float, Event]]) -> RenderableType:
    """All of it. `past`: (time, event) of what was seen to happen, oldest first."""
    parts: list[RenderableType] = [_head(frame)]
    if frame.levels:
        parts += [_tree(console, frame), _lines(frame)]
        parts += [_happened(past, [event for event in frame.events if event.what == "writing"])]
    else:
        parts += [_figures(frame)]
    return Group(*parts)


def _head(frame: Frame) -> Text:
    moment = time.strftime("%H:%M:%S", time.localtime(frame.time))
    return Text.assemble((f"lsm top {frame.place}", "bold"), f"  {frame.engine}  {moment}\n", (SOURCES[frame.source], "dim"))


# ------------------------------------------------------------ the tree

def _tree(console: Console, frame: Frame) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_footer=True)
    table.add_column("level", "all", no_wrap=True)
    table.add_column("full", no_wrap=True, width=WIDTH)
    table.add_column("of", no_wrap=True)
    for name, total in (("tables", f"{frame.figures['tables']:,}"), ("size", size(frame.figures["bytes"])),
                        ("entries", f"{frame.figures['entries']:,}"),
                        ("deletes", f"{sum(level.tombstones for level in frame.levels):,}")):
        table.add_column(name, total, justify="right", no_wrap=True)
    limit = int(frame.figures.get("memory_limit", 0))
    used = int(frame.figures["memtable_bytes"])
    table.add_row("mem", _bar(console, used / limit if limit else None), size(limit) if limit else "",
                  f"{frame.figures['memtables']:,}", size(used), "", "")
    for level in frame.levels:
        if level.tables:
            table.add_row(f"L{level.level}", _bar(console, level.fill), _limit(level), f"{level.tables:,}", size(level.bytes),
                          f"{level.entries:,}", f"{level.tombstones:,}")
    return table


def _bar(console: Console, fill: float | None) -> Text:
    if not fill:
        return Text("")
    full, empty = ("█", "░") if console.encoding.lower().startswith("utf") else ("#", ".")
    cells = min(WIDTH, max(1, round(WIDTH * fill)))
    return Text.assemble((full * cells, "red" if fill >= 1 else "green"), (empty * (WIDTH - cells), "dim"))


def _limit(level: Level) -> str:
    if level.limit is None:
        return ""
    return f"{level.limit} tables" if level.unit == "tables" else size(level.limit)


# ------------------------------------------------------------ lines of figures

def _lines(frame: Frame) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, text in _told(frame):
        grid.add_row(Text(name, "dim"), text)
    return grid


def _told(frame: Frame) -> Iterable[tuple[str, str]]:
    figures, rates = frame.figures, frame.rates
    yield "writes", f"{_count(rates, 'sequence')}, {_bytes(rates, 'log_bytes')} of log; the last is number {figures['sequence']:,}"
    if frame.source == FILES:
        behind = figures["sequence"] - figures["synced"]
        ago = f"{max(0.0, frame.time - figures['written']):.1f} s before" if figures["written"] else "in a table"
        yield "", f"made {ago}; {behind:,} are not known to be on disk"
    else:
        yield "reads", f"{_count(rates, 'gets')}; blocks from disk {_count(rates, 'block_reads')}"
        yield "cache", f"{_hits(frame)}; {size(figures['cache_used'])} of {size(figures['cache_capacity'])}"
        yield "syncs", _count(rates, "syncs")
    yield "flushes", f"{figures['flushes']:,}, {_bytes(rates, 'bytes_flushed')}"
    yield "compactions", (f"{_bytes(rates, 'bytes_compacted_in')} read, {_bytes(rates, 'bytes_compacted_out')} written"
                          + (f"; {figures['compactions']:,} so far" if "compactions" in figures else ""))
    if frame.source != FILES:
        yield "stalls", (f"{figures['stalls']:,}, {figures['stall_seconds']:.3f} s in all, longest "
                         f"{figures['longest_stall_seconds']:.3f} s; slowed for {figures['slowed_seconds']:.3f} s")


def _count(rates: Mapping[str, float], name: str) -> str:
    rate = rates.get(name)
    return "- a second" if rate is None else f"{rate:,.0f} a second"


def _bytes(rates: Mapping[str, float], name: str) -> str:
    rate = rates.get(name)
    return "-/s" if rate is None else f"{size(max(0.0, rate))}/s"


def _hits(frame: Frame) -> str:
    """Of this interval; of all time where nothing was asked for in it."""
    for hits, misses, when in ((frame.rates.get("cache_hits", 0), frame.rates.get("cache_misses", 0), ""),
                               (frame.figures["cache_hits"], frame.figures["cache_misses"], " since it was opened")):
        if hits + misses > 0:
            return f"{hits / (hits + misses):.1%} hits{when}"
    return "nobody asked"


def _happened(past: Sequence[tuple[float, Event]], writing: Sequence[Event]) -> Text:
    lines = [(time.strftime("%H:%M:%S", time.localtime(moment)), event) for moment, event in past[-EVENTS:]]
    lines += [("now     ", event) for event in writing]
    return Text("\n" + "\n".join(f"{moment}  {event.what}: {event.text}" for moment, event in lines) if lines else "")


# ------------------------------------------------------------ engines without levels

def _figures(frame: Frame) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("a second", justify="right", no_wrap=True)
    for name, value in frame.figures.items():
        rate = frame.rates.get(name)
        table.add_row(name.replace("_", " "), f"{value:,.3f}" if name in SECONDS else f"{value:,}",
                      "" if not rate else f"{rate:+,.0f}")
    return table
