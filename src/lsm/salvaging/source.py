"""Source: the files of a directory, only read: neither locked nor changed. It tells how many bytes were read. One thread."""
from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType

from lsm.errors import NotADatabaseError, StorageError


TOLD_EVERY = 1 << 20            # bytes between two reports of progress


class Source:
    """The directory `path`; files that were asked for by stretches stay open until it is closed."""

    def __init__(self, path: str | os.PathLike[str], told: Callable[[int], object] | None = None) -> None:
        """`told` is called with the bytes read so far, now and then."""
        self._told = told
        self._read = self._untold = 0
        self.path = os.path.abspath(os.fsdecode(path))
        self._files: dict[str, int] = {}
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
            found = _exactly(file, offset, os.fstat(file).st_size - offset if size is None else size)
        except OSError:
            return None
        self._count(len(found))
        return found

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
