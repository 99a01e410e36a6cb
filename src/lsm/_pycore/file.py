"""File: one file of a Directory: read at any place, or appended to.

- A refused or partial append, also one that a signal handler raised in, is cut off again: the file is as it was.
- What was appended survives the death of the process: it is with the operating system. The loss of power it survives
  once `sync` has returned.
- A failed sync is final: the kernel has dropped what it could not write, so every later one raises the same again.

Threads: `read` any; `append` one at a time, beside which a `sync` may run.
"""
from __future__ import annotations

import errno
import fcntl
import os
import sys

from lsm._pycore.faults import of_system, storage_error
from lsm.errors import CorruptionError, StorageError


def sync_descriptor(descriptor: int) -> None:
    """Bytes and size to the medium."""
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL):
                raise
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


class File:
    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size                    # bytes that are part of it
        self._descriptor = descriptor
        self._sync_error: StorageError | None = None

    def __del__(self) -> None:
        try:
            self.close()
        except StorageError:
            pass

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes; CorruptionError when the file ends before."""
        try:
            data = os.pread(self._descriptor, size, offset)
            while len(data) < size:
                more = os.pread(self._descriptor, size - len(data), offset + len(data))
                if not more:
                    raise CorruptionError(self.path, offset, "the file ends before a block of it does")
                data += more
        except OSError as error:
            raise of_system(error, self.path, "reading") from None
        return data

    def append(self, data: bytes | bytearray) -> None:
        """Add these bytes at the end, or raise and leave the file as it was."""
        try:
            written = os.pwrite(self._descriptor, data, self.size)
            while written < len(data):
                written += os.pwrite(self._descriptor, memoryview(data)[written:], self.size + written)
            self.size += len(data)
        except BaseException as error:
            self._cut_back()
            if isinstance(error, OSError):
                raise of_system(error, self.path, "writing") from None
            raise

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            pass                            # the next append overwrites what cannot be cut off

    def sync(self) -> None:
        if self._sync_error is not None:
            raise storage_error(self._sync_error.errno or errno.EIO, self.path, "syncing")
        try:
            sync_descriptor(self._descriptor)
        except OSError as error:
            self._sync_error = of_system(error, self.path, "syncing")
            raise self._sync_error from None

    def close(self) -> None:
        """End using it; again does nothing."""
        descriptor, self._descriptor = self._descriptor, -1     # never closed twice: it may be another file's by then
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError as error:
                raise of_system(error, self.path, "closing") from None
