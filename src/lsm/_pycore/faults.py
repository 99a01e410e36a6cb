"""Faults: what the operating system answers, as the errors of lsm, with the advice that belongs to each.

An OSError becomes a StorageError that keeps errno and file, and that is also the built-in error a Python reader
expects (FileNotFoundError, PermissionError). What comes from the storage layer below already is one.
"""
from __future__ import annotations

import errno
import os
from typing import Any

from lsm.errors import StorageError

ADVICE = {
    errno.ENOSPC: "make room on the device, then write again",
    errno.EDQUOT: "raise the quota or make room, then write again",
    errno.EMFILE: "this process has too many open files: raise `ulimit -n` or close some",
    errno.ENFILE: "the system has too many open files: close some",
    errno.EACCES: "give this user permission to read and write the directory and its files",
    errno.EPERM: "give this user permission to read and write the directory and its files",
    errno.EROFS: "open with read_only=True, or make the file system writable",
    errno.EIO: "the device failed: check the system log, then close and open again",
    errno.ENOTDIR: "the path names a file: give a directory",
    errno.ELOOP: "symbolic links are not followed within a database: put the file itself there",
    errno.EISDIR: "a directory lies where a file belongs: put the file itself there",
    errno.ENXIO: "what lies there is no regular file: put the file itself there",
    errno.EFBIG: "the file size limit of the process or file system was met: raise it",
}


class MissingFileError(StorageError, FileNotFoundError):
    """A StorageError with ENOENT, for those who catch by the built-in name."""


class NoDirectoryError(StorageError, NotADirectoryError):
    """A StorageError with ENOTDIR."""


class NoPermissionError(StorageError, PermissionError):
    """A StorageError with EACCES, EPERM or EROFS."""


class FileThereError(StorageError, FileExistsError):
    """A StorageError with EEXIST."""


BY_ERRNO: dict[int, type[StorageError]] = {
    errno.ENOENT: MissingFileError,
    errno.ENOTDIR: NoDirectoryError,
    errno.EACCES: NoPermissionError,
    errno.EPERM: NoPermissionError,
    errno.EROFS: NoPermissionError,
    errno.EEXIST: FileThereError,
}
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)       # after these a write may be tried again


def storage_error(number: int, path: str, doing: str) -> StorageError:
    text = f"{doing}: {os.strerror(number)}"
    if number in ADVICE:
        text = f"{text}; {ADVICE[number]}"
    return BY_ERRNO.get(number, StorageError)(number, text, path)


def of_system(error: OSError, path: str, doing: str) -> StorageError:
    """The StorageError for an OSError of the standard library."""
    return storage_error(error.errno or errno.EIO, path, doing)


def is_final(error: BaseException) -> bool:
    """Is nothing to be written after this any more? After a refused write that is not for want of room, memory or descriptors the
    state of the file is not known."""
    return isinstance(error, StorageError) and error.errno not in PASSING


def discard(directory: Any, name: str) -> None:
    """Remove what is not finished, or not needed any more. What is left behind, the next open finds and removes."""
    try:
        directory.unlink(name)
    except Exception:
        pass
