"""Report: what `verify` answers, of every engine. Filled by one thread, then only read."""
from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from lsm.errors import CorruptionError, StorageError

Checked = tuple[int, int, list[CorruptionError]]        # of one file: blocks, bytes, damage
Progress = Callable[[int], object]                      # told the bytes read so far


@dataclass
class Report:
    """What `DB.verify` read, and every damage it met; true, and `ok`, when there is none. Prints as a summary.

    files, blocks, bytes    how many were read; a record of a log counts as a block
    damage                  a CorruptionError (path, offset, detail) for each, in the order of file and offset

    >>> print(Report(files=2, blocks=1, bytes=539))
    2 files, 1 blocks, 539 bytes read: all of it is whole
    """

    files: int = 0
    blocks: int = 0
    bytes: int = 0
    damage: tuple[CorruptionError, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Was no damage met?"""
        return not self.damage

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        found = "\n".join(f"  {error}" for error in self.damage)
        return (f"{self.files} files, {self.blocks:,} blocks, {self.bytes:,} bytes read: "
                + (f"{len(self.damage)} damaged\n{found}" if self.damage else "all of it is whole"))

    def note(self, check: Callable[[], Checked]) -> None:
        """Run one file's check and keep the damage it lists or raises, all of it in the order of file and offset. What the disk does
        not give back is damage, too."""
        self.files += 1
        try:
            blocks, size, found = check()
        except CorruptionError as error:
            blocks, size, found = 0, 0, [error]
        except StorageError as error:
            if error.errno != errno.EIO:
                raise
            unread = CorruptionError(os.fspath(error.filename or ""), 0, f"it cannot be read: {error.strerror}", (None, None))
            unread.__cause__ = error
            blocks, size, found = 0, 0, [unread]
        self.blocks += blocks
        self.bytes += size
        self.damage = tuple(sorted((*self.damage, *found), key=lambda error: (error.path, error.offset)))
