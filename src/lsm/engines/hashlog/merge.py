"""Merging: `choose` says which files, `carry_out` copies what is still needed of them into new ones.

What a merge leaves out, and why none of it comes back

- A record that the index does not lead to. Something newer of its key is there; but perhaps not on disk yet, and a power loss
  must not take both. So before the merge is installed every file that is written to is synced.
- A deletion, if no file beside those merged has a record as old as it. Then nothing is left for it to hide: all older records
  of its key lay in the merged files, and were left out for the deletion's own sake.

It is installed in one step (manifest.py); until then its files are named nowhere, and a crash leaves what was before.

Threads: the background thread; one merge at a time.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lsm import _core
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.datafiles import DataFiles
from lsm.engines.hashlog.manifest import FileMeta
from lsm.errors import Error

logger = logging.getLogger("lsm")

MERGE_FILES_MAX = 8             # of those that waste room, at a time: then what they wasted is free for the next
SMALL_FILES_MAX = 8             # files below a quarter of the full size that may lie about
TOMBSTONE_SHARE = 0.25          # of all bytes, from which on everything is merged to be rid of them
NOTHING_OLDER = 1 << 63


@dataclass(frozen=True)
class Weighed:
    """A file made for keeping, and what is in it."""

    meta: FileMeta
    live: int                   # bytes of records that the index leads to
    tombstones: int             # bytes of deletions

    @property
    def records(self) -> int:
        """Bytes of records."""
        return self.meta.size - _core.LOG_HEADER

    @property
    def dead(self) -> int:
        """Bytes of records that were overwritten or deleted."""
        return max(0, self.records - self.live - self.tombstones)


def choose(files: Sequence[Weighed], file_bytes: int, dead_ratio: float) -> tuple[int, ...]:
    """The numbers of the files to merge now, none when nothing is to be gained. Pure.

    >>> full = Weighed(FileMeta(1, 1064, 10, 1, 10), live=1000, tombstones=0)
    >>> half = Weighed(FileMeta(2, 1064, 10, 11, 20), live=400, tombstones=0)
    >>> choose([full, half], 1000, 0.5)
    (2,)
    """
    total = sum(file.records for file in files)
    if total and sum(file.tombstones for file in files) >= TOMBSTONE_SHARE * total:
        return tuple(file.meta.number for file in files)
    wasteful = [file for file in files if file.dead >= dead_ratio * file.records]
    wasteful.sort(key=lambda file: (-file.dead / file.records, file.meta.number))
    chosen = {file.meta.number for file in wasteful[:MERGE_FILES_MAX]}
    small = {file.meta.number for file in files if file.meta.size < file_bytes // 4}
    if len(small) > SMALL_FILES_MAX:
        chosen |= small
    return tuple(sorted(chosen))


def everything(files: Sequence[Weighed], file_bytes: int) -> tuple[int, ...]:
    """What `compact` merges: all, unless there is nothing to be gained."""
    small = [file for file in files if file.meta.size < file_bytes // 4]
    if len(small) > 1 or any(file.dead or file.tombstones for file in files):
        return tuple(file.meta.number for file in files)
    return ()


def oldest_beside(metas: Iterable[FileMeta], merged: Iterable[int]) -> int:
    """The least sequence in any file but those merged: deletions from there on are kept."""
    gone = set(merged)
    return min((meta.min_sequence for meta in metas if meta.number not in gone), default=NOTHING_OLDER)


def carry_out(files: DataFiles, inputs: list[_core.DataFile], last_sequence: int, pause: Callable[[], None]) -> None:
    """Merge these files. `pause` is called now and then, and may raise to give it up: then nothing has changed."""
    store, state = files.store, files.state
    drop_below = oldest_beside(state.files, (file.number for file in inputs))
    builders: list[_core.DataBuilder] = []
    made: list[str] = []
    outputs: list[tuple[FileMeta, _core.DataFile, bytes]] = []

    def begin() -> None:
        builders.append(_core.DataBuilder(files.new_number(), state.database_id, state.options.file_bytes))

    def finish() -> None:
        builder = builders.pop()
        if builder.records:
            outputs.append(_write(files, builder, made))

    try:
        begin()
        for file in inputs:
            end = file.size
            image = files.image(file, end)
            at = _core.LOG_HEADER
            while at < end:
                at = store._merge_image(image, file, at, end, builders[-1], drop_below)
                if at < end:
                    finish()
                    begin()
            del image
            pause()
        finish()
        if outputs:
            files.directory.sync()
        store._sync_logs()
        pause()
        files.replace_files(inputs, outputs, last_sequence)
    except BaseException:
        named = {meta.number for meta in files.state.files}
        if store._failure is None:
            _remove(files, (name for name in made if manifest.numbered(name)[0] not in named))     # type: ignore[index]
        raise
    files.counters.merges += 1
    files.counters.bytes_merged_in += sum(file.size for file in inputs)
    files.counters.bytes_merged_out += sum(meta.size for meta, _, _ in outputs)


def _write(files: DataFiles, builder: _core.DataBuilder, made: list[str]) -> tuple[FileMeta, _core.DataFile, bytes]:
    data, hint = builder.finished()
    for name, contents in ((_core.data_file_name(builder.number), data), (_core.hint_file_name(builder.number), hint)):
        made.append(name)
        files.directory.create(name, contents)
    meta = FileMeta(builder.number, len(data), builder.records, builder.min_sequence, builder.max_sequence)
    return meta, files.open_file(meta.number, meta.size), hint


def _remove(files: DataFiles, names: Iterable[str]) -> None:
    """What was made for nothing. What cannot be removed, the next open removes."""
    for name in names:
        try:
            if files.directory.exists(name):
                files.directory.unlink(name)
        except (Error, OSError) as error:
            logger.warning("could not remove %s: %s", name, str(error))
