"""Counters: frames of the stats that whoever has the database open tells: this process, or a server."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import lsm
from lsm.cli.opening import open_to_read
from lsm.cli.sizes import size
from lsm.cli.top.frame import DATABASE, Event, Frame, Level, numbers, rates
from lsm.cli.top.limits import limit, memory_limit
from lsm.errors import OptionError, OptionNameError
from lsm.options import Options


@dataclass(frozen=True)
class Told:
    """An engine's name, its stats, and its options as JSON has them, if it tells any."""

    engine: str
    stats: Mapping[str, Any]
    options: Mapping[str, Any] | None = None


class Counters:
    """Asks `ask` for each frame."""

    def __init__(self, source: str, place: str, ask: Callable[[], Told], close: Callable[[], None] = lambda: None) -> None:
        self._source, self._place, self._ask = source, place, ask
        self._frame: Frame | None = None
        self.close = close

    def frame(self) -> Frame:
        told, now = self._ask(), time.time()
        options = _options(told.options)
        figures = numbers(told.stats)
        if options is not None:
            figures["memory_limit"] = memory_limit(options)
        before, changed = self._frame, {}
        if before is not None:
            changed = {name: value - before.figures.get(name, 0) for name, value in figures.items()}
        levels = tuple(_level(plain, options) for plain in told.stats.get("levels", ()))
        self._frame = Frame(now, self._source, self._place, told.engine, levels, figures, rates(before, now, figures),
                            tuple(_events(changed, figures)))
        return self._frame


def of_database(db: lsm.Engine) -> Counters:
    """Of a database that this process has open."""
    return Counters(DATABASE, str(db.path), lambda: told_by(db))


def of_files(path: Any, engine: str) -> Counters:
    """Of a database of an engine whose files tell nothing by themselves: it is opened anew, to be read, for each frame."""
    def ask() -> Told:
        with open_to_read(path, engine) as db:
            return told_by(db)

    return Counters(DATABASE, str(path), ask)


def told_by(db: lsm.Engine) -> Told:
    """What an open database tells."""
    options = getattr(db, "options", None)
    return Told(db.traits.engine, asdict(db.stats()), options.to_json() if isinstance(options, Options) else None)


def _options(plain: Mapping[str, Any] | None) -> Options | None:
    try:
        return None if plain is None else Options.from_json(plain)
    except (OptionError, OptionNameError):      # of a server of another version
        return None


def _level(plain: Mapping[str, Any], options: Options | None) -> Level:
    return Level(plain["level"], plain["tables"], plain["bytes"], plain["entries"], plain["tombstones"],
                 *limit(options, plain["level"]))


def _events(changed: Mapping[str, float], figures: Mapping[str, float]) -> list[Event]:
    """What the counters say happened since the frame before."""
    events = []
    if changed.get("flushes", 0) > 0:
        events.append(Event("flush", int(changed["bytes_flushed"]),
                            f"{changed['flushes']:,} of {size(changed['bytes_flushed'])}"))
    if changed.get("compactions", 0) > 0:
        events.append(Event("compaction", int(changed["bytes_compacted_out"]),
                            f"{changed['compactions']:,}: {size(changed['bytes_compacted_in'])} became "
                            f"{size(changed['bytes_compacted_out'])}"))
    if changed.get("stalls", 0) > 0:
        events.append(Event("stall", 0, f"{changed['stalls']:,} of {changed['stall_seconds']:.3f} s together; the longest "
                                        f"ever {figures['longest_stall_seconds']:.3f} s"))
    return events
