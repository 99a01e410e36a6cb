"""Recovery: from what lies in the directory to what the database is, after a clean close or any crash.

1. CURRENT names the manifest, the manifest names the tables and the logs. What is named and missing or changed is a
   CorruptionError; what lies there and is not named was being made when the crash came, and is removed.
2. The logs are replayed in order. Records must be unharmed and of consecutive sequence. The run of them may end in the
   tear of a crash; then everything behind it, also in later logs, is dropped.
3. Unless a record, in whichever log, says that more than what was recovered had been synced: then what is missing was
   acknowledged as durable, and its loss is a CorruptionError that names where the run ended.
4. To write again, what was replayed is first flushed to new tables, and the logs removed: after a failed sync the page
   cache may show what the disk does not have, so old pages are not relied on. Where there is no room for that yet, the
   torn end is cut off, the logs are kept, and no sync is acknowledged until they are in tables.

Invariant: recovery changes nothing before everything it needs was read and found good. Interrupted anywhere, it can be
begun again. Threads: one, before anybody else sees the database.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from lsm.errors import CorruptionError
from lsm.tree import manifest
from lsm.tree.files import log_name, numbered

if TYPE_CHECKING:
    from lsm import _core

LOG_BYTES_MAX = 1 << 40


@dataclass(frozen=True)
class Replayed:
    """The logs, read: (number of the log, its writes) oldest first, and the last write among them."""

    memtables: tuple[tuple[int, _core.Memtable], ...]
    sequence: int
    torn: tuple[str, int] | None        # the log, and where in it, the run of records ended in a tear


def replay(core: ModuleType, directory: _core.Directory, state: manifest.State) -> Replayed:
    """Read every log the manifest names. Changes nothing."""
    memtables: list[tuple[int, _core.Memtable]] = []

    def read(number: int, name: str, sequence: int) -> tuple[int, int, bool, int]:
        memtable = core.Memtable()
        memtables.append((number, memtable))
        return core.replay_log(_read_log(directory, name), name, number, state.database_id, sequence,   # type: ignore[no-any-return]
                               memtable, directory.path)

    def watermark(number: int, name: str) -> int:
        return core.log_highest_watermark(_read_log(directory, name), number)       # type: ignore[no-any-return]

    sequence, torn = replay_run(directory.path, [(number, log_name(number)) for number in state.logs], state.last_sequence,
                                core.LOG_HEADER, read, watermark)
    return Replayed(tuple(memtables), sequence, torn)


def replay_run(path: str, files: Iterable[tuple[int, str]], sequence: int, header: int,
               read: Callable[[int, str, int], tuple[int, int, bool, int]],
               watermark: Callable[[int, str], int]) -> tuple[int, tuple[str, int] | None]:
    """Read one run of records, of consecutive sequence, through files of these (number, name), oldest first; of each the first
    `header` bytes are no record. `sequence` is that of the last write before the run.

    `read(number, name, sequence)` reads one: (last sequence, offset where its records end, whether in a tear, highest sync
    watermark). Behind a tear nothing counts, and `watermark(number, name)` answers only the highest watermark of later files.
    Answers (last sequence of all, the file and where in it the run ended in a tear). CorruptionError when what a watermark
    says had been synced is missing.
    """
    synced = 0
    ended: tuple[str, int] | None = None                # where the run of records ended, once it has
    cut: tuple[str, int] | None = None
    last = ("", 0)
    for number, name in files:
        if ended is not None:
            synced = max(synced, watermark(number, name))
            continue
        sequence, offset, torn, highest = read(number, name, sequence)
        synced = max(synced, highest)
        if offset > header or not torn or not last[0]:
            last = (name, offset)                       # a file torn at its head: the end of the one before is missing
        if torn:
            ended, cut = last, (name, offset)
    if synced > sequence:
        name, offset = ended or last
        raise CorruptionError(os.path.join(path, name), offset,
                              f"writes up to {synced} had been synced to disk, but none after {sequence} is there")
    return sequence, cut


def _read_log(directory: _core.Directory, name: str) -> bytes:
    try:
        return directory.read(name, limit=LOG_BYTES_MAX)
    except FileNotFoundError as error:
        raise CorruptionError(os.path.join(directory.path, name), 0,
                              "the log is missing although the manifest names it") from error


def unnamed(directory: _core.Directory, state: manifest.State) -> list[str]:
    """The tables, logs and manifests that this manifest does not name, and what was to become CURRENT."""
    tables = {table.number for table in state.version.tables()}
    found = []
    for name in directory.list():
        file = numbered(name)
        number = manifest.manifest_number(name)
        if (file is not None and file[0] not in (tables if file[1] == "table" else state.logs)
                or number is not None and number != state.number or name == manifest.CURRENT_NEW):
            found.append(name)
    return found
