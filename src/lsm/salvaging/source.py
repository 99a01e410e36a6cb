"""Source: the files of a directory, only read: neither locked nor changed. It tells how many bytes were read.

A sector that the disk does not give back is taken as zeros, which the checksums over it will not match: so it costs what stood in
it, not the file. `notes` names it. A file is read as far as something was ever written to it, and FILE_BYTES_MAX at the most: what
is only a length takes no memory. One thread.
"""
from __future__ import annotations

import errno
import os
from collections.abc import Callable
from types import TracebackType

from lsm.errors import NotADatabaseError, StorageError


TOLD_EVERY = 1 << 20            # bytes between two reports of progress
FILE_BYTES_MAX = 1 << 32
SECTOR = 4096                   # bytes that are given up together
HOLES_MAX = 1000


class Source:
    """The directory `path`; files that were asked for by stretches stay open until it is closed."""

    def __init__(self, path: str | os.PathLike[str], told: Callable[[int], object] | None = None) -> None:
        """`told` is called with the bytes read so far, now and then."""
        self._told = told
        self._read = self._untold = 0
        self.path = os.fsdecode(path)
        self._files: dict[str, int] = {}
        self.notes: list[str] = []
        self.unread: dict[str, set[tuple[int, int]]] = {}       # of a file: from, to
        try:
            self.names = sorted(os.listdir(self.path))
        except FileNotFoundError:
            raise NotADatabaseError(self.path, "there is no such directory") from None
        except NotADirectoryError:
            raise NotADatabaseError(self.path, "it is a file: give the directory of a database") from None
        except OSError as error:
            raise StorageError(error.errno, error.strerror, self.path) from error

    def where(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes | None:
        """Bytes of the file, fewer where it ends; None when it cannot be read at all."""
        try:
            file = self._file(name)
            wanted = min(_written(file) - offset if size is None else size, FILE_BYTES_MAX)
            try:
                found = _exactly(file, offset, wanted)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                found = self._by_sectors(name, file, offset, min(wanted, os.fstat(file).st_size - offset))
        except (OSError, MemoryError):
            return None
        self._count(len(found))
        return found

    def _by_sectors(self, name: str, file: int, offset: int, size: int) -> bytes:
        """What can be read, and zeros."""
        parts = []
        while size > 0:
            part = min(size, SECTOR - offset % SECTOR)
            try:
                parts.append(_exactly(file, offset, part))
            except OSError:
                parts.append(bytes(part))
                note = f"{self.where(name)}: the disk does not give back bytes {offset} to {offset + part - 1}"
                self.notes += [note] * (note not in self.notes)
                self.unread.setdefault(name, set()).add((offset, offset + part))
            offset += part
            size -= part
        return b"".join(parts)

    def _count(self, size: int) -> None:
        self._read += size
        self._untold += size
        if self._told is not None and self._untold >= TOLD_EVERY:
            self._untold = 0
            self._told(self._read)

    def size(self) -> int:
        """Of all files there are."""
        return sum(os.lstat(self.where(name)).st_size for name in self.names if os.path.lexists(self.where(name)))

    def begin_anew(self) -> None:
        """To count."""
        self._read = self._untold = 0

    def _file(self, name: str) -> int:
        if name not in self._files:
            if len(self._files) >= 128:
                self.close()
            self._files[name] = os.open(self.where(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        return self._files[name]

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _exactly(file: int, offset: int, size: int) -> bytes:
    parts = []
    while size > 0:
        part = os.pread(file, min(size, 1 << 30), offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)


def _written(file: int) -> int:
    """The end of the last stretch of a file that was ever written to, where the file system tells."""
    size, end = os.fstat(file).st_size, 0
    try:
        for _ in range(HOLES_MAX):
            end = os.lseek(file, os.lseek(file, end, os.SEEK_DATA), os.SEEK_HOLE)
    except OSError as error:
        return end if error.errno == errno.ENXIO else size      # nothing behind that; or it does not tell
    return size
