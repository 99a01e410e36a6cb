"""Frame: what `top` shows of one moment, wherever it comes from: immutable, and the same for the screen and for --json."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

FILES, SERVER, DATABASE = "files", "server", "database"         # where a frame comes from


@dataclass(frozen=True)
class Level:
    """One level of the tree, and what it may hold before something is done about it."""

    level: int
    tables: int
    bytes: int
    entries: int
    tombstones: int
    limit: int | None = None            # None: there is none, or it is not known here
    unit: str = "bytes"                 # of the limit: "bytes" or "tables"

    @property
    def fill(self) -> float | None:
        """Its share of the limit; may be more than 1."""
        return (self.tables if self.unit == "tables" else self.bytes) / self.limit if self.limit else None


@dataclass(frozen=True)
class Event:
    """Something that was seen to happen, or that goes on."""

    what: str                           # "flush", "compaction", "move", "writing", "stall"
    bytes: int
    text: str


@dataclass(frozen=True)
class Frame:
    """A moment. `rates` is how much each figure changed, for one second, since the frame before: nothing in the first."""

    time: float                         # seconds since 1970
    source: str                         # FILES, SERVER or DATABASE
    place: str
    engine: str
    levels: tuple[Level, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    def json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), allow_nan=False)


class Source(Protocol):
    """What makes frames. Each asks anew."""

    def frame(self) -> Frame: ...

    def close(self) -> None: ...


def rates(before: Frame | None, time: float, figures: Mapping[str, float]) -> dict[str, float]:
    """The change of each figure for one second; nothing when counters went back: then what counts was started again."""
    if before is None or time <= before.time:
        return {}
    began_anew = any(figures.get(name, 0) < before.figures.get(name, 0) for name in ("sequence", "gets", "bytes_written"))
    return {} if began_anew else {
        name: (value - before.figures[name]) / (time - before.time) for name, value in figures.items() if name in before.figures}


def numbers(stats: Mapping[str, Any]) -> dict[str, float]:
    """The figures among what an engine's stats hold."""
    return {name: value for name, value in stats.items() if type(value) in (int, float)}
