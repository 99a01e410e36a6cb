"""Recovery: from what lies in the directory to what the database is, after a clean close or any crash.

1. HASHLOG names the files made for keeping, and those that were being written to. What is named and missing, or shorter than it
   was, is a CorruptionError; what lies there and is not named was being made, or had been merged, and is removed.
2. The hints of the files made for keeping are entered in the index: of each key the record with the highest sequence counts,
   whatever file it lies in. A hint that is missing or damaged is made good by reading its data file, with a warning.
3. The files that were being written to are replayed in order, by the rules of logs (tree/recovery.py; docs/format-log.md):
   records unharmed and of consecutive sequence, batches whole. The run may end in the tear of a crash; then everything behind
   is dropped, also in later files, unless a watermark says that what is missing had been synced: that is a CorruptionError.
4. To write again, what was replayed is first merged into files for keeping: after a failed sync the page cache may show what
   the disk does not have, so old pages are not relied on. Where there is no room for that yet, the torn end is cut off, the
   files are kept, and no sync is acknowledged until they have been merged.

Invariant: recovery changes nothing before everything it needs was read and found good. Interrupted anywhere, it can be
begun again. Threads: one, before anybody else sees the database.
"""
from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from lsm import _core
from lsm.background import passes
from lsm.engines.hashlog import manifest
from lsm.engines.hashlog.datafiles import FILE_BYTES_LIMIT, DataFiles
from lsm.engines.hashlog.merge import carry_out
from lsm.errors import CorruptionError, StorageError
from lsm.tree.recovery import replay_run

logger = logging.getLogger("lsm")


@dataclass(frozen=True)
class Replayed:
    """The files that were being written to, read."""

    files: tuple[_core.DataFile, ...]   # that have records which count, oldest first
    sequence: int                       # the last write there is
    torn: tuple[str, int] | None        # the file, and where in it, the run of records ended in a tear


def load(files: DataFiles) -> Replayed:
    """Fill the index. Changes nothing on disk."""
    for meta in files.state.files:
        file = files.open_file(meta.number, meta.size)
        files.kept[meta.number] = file
        _load_kept(files, file)
    replayed = _replay(files)
    files.recovered = replayed.files
    files.show()
    files.store._loaded()
    return replayed


def _load_kept(files: DataFiles, file: _core.DataFile) -> None:
    name = _core.hint_file_name(file.number)
    try:
        wrong = files.store._load_hint(files.directory.read(name, limit=FILE_BYTES_LIMIT), file, files.state.database_id)
    except FileNotFoundError:
        wrong = "it is missing"
    except CorruptionError as error:
        wrong = error.detail
    if wrong is not None:
        logger.warning("%s is not used, its data file is read instead: %s", os.path.join(files.directory.path, name), wrong)
        files.store._load_image(files.image(file, file.size), file, files.state.database_id)


def _replay(files: DataFiles) -> Replayed:
    state = files.state
    found: list[_core.DataFile] = []

    def opened(number: int) -> tuple[_core.DataFile, bytes]:
        file = files.open_file(number, 0)
        return file, files.image(file, file.size)

    def read(number: int, _: str, sequence: int) -> tuple[int, int, bool, int]:
        file, image = opened(number)
        sequence, offset, torn, watermark = files.store._replay(image, file, state.database_id, sequence)
        file.ends_at(offset)
        if offset > _core.LOG_HEADER:
            found.append(file)
        return sequence, offset, torn, watermark

    def watermark(number: int, _: str) -> int:
        return _core.data_highest_watermark(opened(number)[1], number)

    names = [(number, _core.data_file_name(number)) for number in state.open]
    sequence, torn = replay_run(files.directory.path, names, state.last_sequence, _core.LOG_HEADER, read, watermark)
    return Replayed(tuple(found), sequence, torn)


def keep(files: DataFiles, sequence: int) -> bool:
    """Copy what was replayed into files for keeping. Without room for that False: it is done once there is room, and until then
    nothing can be synced, as the pages of these files may never have reached the disk."""
    if not files.recovered:
        return True
    try:
        carry_out(files, list(files.recovered), sequence, lambda: None)
    except StorageError as error:
        if not passes(error):
            raise
        logger.warning("%s: no room to copy what was recovered, trying again later: %s", files.directory.path, str(error))
        return False
    return True


def tidy(files: DataFiles) -> None:
    """Have HASHLOG say what is so now, options that were given too, and remove what it does not name. Nothing is removed before
    a HASHLOG was made here: the process before may have failed to make durable the one that was found. Without room all of this
    waits: nothing is written before the HASHLOG that names the file for it."""
    unnamed = _unnamed(files)
    if files.installed == 0 and (unnamed or files.state != files.on_disk):
        try:
            files.install(files.state)
        except StorageError as error:
            if not passes(error):
                raise
            logger.warning("%s: no room to note what changed while it was opened, trying again later: %s", files.directory.path,
                           str(error))
            return
    for name in unnamed:
        files.directory.unlink(name)


def _unnamed(files: DataFiles) -> list[str]:
    """What lies there and HASHLOG does not name: it was being made, or had been merged, when the crash came."""
    named = {meta.number for meta in files.state.files} | set(files.state.open)
    found = [(name, manifest.numbered(name)) for name in files.directory.list()]
    return [name for name, file in found if file is not None and file[0] not in named]
