"""Files: frames of a tree that another process may be writing in, from its files alone (lsm.tree.watch)."""
from __future__ import annotations

import time

from lsm.cli.sizes import size
from lsm.cli.top.frame import FILES, Event, Frame, Level, rates
from lsm.cli.top.limits import limit, memory_limit
from lsm.options import Options
from lsm.tree.watch import Change, Look, Watch, change

NOTHING = Change((), (), (), ())


class Files:
    """Counts what it sees happen, from its first look on."""

    def __init__(self, path: str) -> None:
        self._place = path
        self._watch = Watch(path)
        self._look: Look | None = None
        self._frame: Frame | None = None
        self._seen = {"flushes": 0, "bytes_flushed": 0, "bytes_compacted_in": 0, "bytes_compacted_out": 0, "log_bytes": 0}

    def frame(self) -> Frame:
        look, now = self._watch.look(), time.time()
        happened = change(self._look, look) if self._look else NOTHING
        if self._look:
            self._count(self._look, look, happened)
        figures = {**_held(look), **self._seen}
        self._look, before = look, self._frame
        self._frame = Frame(now, FILES, self._place, "lsm", levels(look), figures, rates(before, now, figures),
                            tuple(_events(happened)) + tuple(_writing(look)))
        return self._frame

    def _count(self, before: Look, look: Look, happened: Change) -> None:
        self._seen["log_bytes"] += _logged(before, look)
        self._seen["flushes"] += len(happened.flushed)
        self._seen["bytes_flushed"] += sum(meta.size for meta in happened.flushed)
        self._seen["bytes_compacted_in"] += sum(meta.size for meta in happened.gone)
        self._seen["bytes_compacted_out"] += sum(meta.size for meta in happened.merged)

    def close(self) -> None:
        """Nothing is held."""


def _logged(before: Look, look: Look) -> int:
    """Bytes of log between two looks. Logs that came and went between them count as many bytes a write as the others."""
    known = {log.number: log for log in before.logs}
    bytes = writes = 0
    for log in look.logs:
        old = known.get(log.number)
        bytes += log.bytes - (old.bytes if old else 0)
        writes += log.writes - (old.writes if old else 0)
    all_writes = look.sequence - before.sequence
    return bytes * all_writes // writes if 0 < writes < all_writes else bytes


def levels(look: Look) -> tuple[Level, ...]:
    """The levels of the manifest."""
    return tuple(
        Level(number, len(metas), sum(meta.size for meta in metas), sum(meta.entries for meta in metas),
              sum(meta.tombstones for meta in metas), *limit(look.state.options, number))
        for number, metas in enumerate(look.state.version.levels))


def _held(look: Look) -> dict[str, float]:
    options: Options = look.state.options
    return {
        "sequence": look.sequence, "synced": look.synced,
        "tables": look.state.version.table_count(), "bytes": look.state.version.total_bytes(),
        "entries": sum(meta.entries for meta in look.state.version.tables()),
        "memtables": len(look.logs), "memtable_bytes": sum(log.bytes for log in look.logs),
        "memory_limit": memory_limit(options), "written": max((log.written for log in look.logs), default=0) / 1e6,
        "tables_unnamed": len(look.unnamed), "bytes_unnamed": sum(bytes for _, bytes in look.unnamed)}


def _events(happened: Change) -> list[Event]:
    events = [Event("flush", meta.size, f"{meta.name} of {size(meta.size)}, {meta.entries:,} entries")
              for meta in happened.flushed]
    if happened.merged or happened.gone:
        read, written = sum(meta.size for meta in happened.gone), sum(meta.size for meta in happened.merged)
        events.append(Event("compaction", written, f"{len(happened.gone)} tables of {size(read)} became "
                                                   f"{len(happened.merged)} of {size(written)}"))
    if happened.moved:
        deepest = max(level for _, level in happened.moved)
        moved = sum(meta.size for meta, _ in happened.moved)
        events.append(Event("move", moved, f"{len(happened.moved)} tables of {size(moved)} went down, to level {deepest}"))
    return events


def _writing(look: Look) -> list[Event]:
    return [Event("writing", bytes, f"{number:06d}.table, {size(bytes)} so far") for number, bytes in look.unnamed]
