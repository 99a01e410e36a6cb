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
from lsm.engines.hashlog.datafiles import FILE_BYTES_LIMIT, DataFiles
from lsm.errors import CorruptionError

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
    state, store, path = files.state, files.store, files.directory.path
    found: list[_core.DataFile] = []
    sequence, synced = state.last_sequence, 0
    ended: tuple[str, int] | None = None                # where the run of records ended, once it has
    cut: tuple[str, int] | None = None
    last = ("", 0)
    for number in state.open:
        name = _core.data_file_name(number)
        file = files.open_file(number, 0)
        image = files.image(file, file.size)
        if ended is not None:
            synced = max(synced, _core.data_highest_watermark(image, number))
            continue
        sequence, offset, torn, watermark = store._replay(image, file, state.database_id, sequence)
        file.ends_at(offset)
        synced = max(synced, watermark)
        if offset > _core.LOG_HEADER or not torn or not last[0]:
            last = (name, offset)                       # a file torn at its head: the end of the one before is missing
        if offset > _core.LOG_HEADER:
            found.append(file)
        if torn:
            ended, cut = last, (name, offset)
    if synced > sequence:
        name, offset = ended or last
        raise CorruptionError(os.path.join(path, name), offset,
                              f"writes up to {synced} had been synced to disk, but none after {sequence} is there")
    return Replayed(tuple(found), sequence, cut)
