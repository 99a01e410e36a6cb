"""The errors of lsm: one tree, so that `except lsm.Error` catches whatever the store itself has to say.

Each class also descends from the built-in exception a Python reader expects (OSError, ValueError, ...), says
in its message what happened, where, and what to do next, and keeps the facts as attributes. Every one
survives pickling with message and attributes.

The bottom of the package: imports nothing of lsm; the compiled core imports it.
"""

from __future__ import annotations

import errno
import os
from typing import Any

__all__ = [
    "BusyError",
    "ClosedError",
    "CorruptionError",
    "DifferenceError",
    "Error",
    "ForkedError",
    "FormatError",
    "LockedError",
    "NotADatabaseError",
    "NotOfferedError",
    "OptionError",
    "OptionNameError",
    "PolicyError",
    "ReadOnlyError",
    "StorageError",
    "UnsupportedError",
    "VersionError",
]


class Error(Exception):
    """Base of every error of lsm. Catch it to catch them all; catch a subclass to act on one."""


class ClosedError(Error, ValueError):
    """A database, snapshot, cursor, scan or batch was used after it, or its database, was closed. Open it
    again, or make another one."""

    def __init__(self, message: str = "the database is closed: open it again with lsm.open") -> None:
        super().__init__(message)


class ForkedError(ClosedError):
    """A child process used a database its parent had opened before the fork. The child must open its own."""

    def __init__(
        self,
        message: str = "this database was opened before a fork and belongs to the parent process: "
        "open databases after forking, or start processes by 'spawn'",
    ) -> None:
        super().__init__(message)


class LockedError(Error, BlockingIOError):
    """Another process (or another open in this one) holds the database.

    Close it there, wait with `lock_timeout=`, or open with `read_only=True`.
    `path` is the directory, `pid` the holder's process id (None when the system does not tell).
    """

    def __init__(self, path: str | os.PathLike[str], pid: int | None = None) -> None:
        self.path = os.fspath(path)
        self.pid = pid or None
        super().__init__(errno.EWOULDBLOCK, "database is locked", self.path)

    def __str__(self) -> str:
        holder = "another process" if self.pid is None else f"process {self.pid}"
        if self.pid == os.getpid():
            holder = f"this process ({self.pid})"
        return (
            f"{self.path}: the database is open in {holder}: close it there, wait with "
            "lock_timeout=<seconds>, or open it with read_only=True"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.pid)


class CorruptionError(Error):
    """Bytes on disk are not what was written; nothing is returned from them.

    Run `verify()` for the whole extent, then restore the database from a checkpoint or backup, or rescue what is whole
    with `lsm.salvage`. `path` is the file, `offset` the byte where the damage was noticed, `detail` what is wrong there.
    `keys`, which verify and salvage tell, are the lowest and the highest key that may be concerned; None in its place
    where there is no such bound.
    """

    def __init__(self, path: str | os.PathLike[str], offset: int, detail: str,
                 keys: tuple[bytes | None, bytes | None] | None = None) -> None:
        self.path = os.fspath(path)
        self.offset = offset
        self.detail = detail
        self.keys = keys
        super().__init__(self.path, offset, detail, *(() if keys is None else (keys,)))

    def __str__(self) -> str:
        concerned = "" if self.keys is None else f" ({self.range()})"
        return (
            f"{self.path}: damaged at byte {self.offset}: {self.detail}{concerned}; "
            "verify() lists all damage, a checkpoint or backup restores it, lsm.salvage rescues the rest"
        )

    def range(self) -> str:
        """The keys concerned, in words; empty when that is not told."""
        if self.keys is None:
            return ""
        low, high = self.keys
        if low is None and high is None:
            return "any key"
        return f"keys from {'the first' if low is None else repr(low)} to {'the last' if high is None else repr(high)}"


class ReadOnlyError(Error, PermissionError):
    """A write to a database that takes none: opened with `read_only=True`, or turned read-only by a failed
    write or sync (then `__cause__` is that first failure: remove its cause, close and open again; reads go on
    meanwhile)."""

    def __init__(
        self, message: str = "the database was opened with read_only=True: open it without to write"
    ) -> None:
        super().__init__(errno.EROFS, message)

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.strerror,)


class StorageError(Error, OSError):
    """The operating system refused to store or read something: `errno`, `strerror` and `filename` are its
    own.

    Everything acknowledged before is kept, and reads go on. After lack of room (ENOSPC, EDQUOT) or of file descriptors
    (EMFILE, ENFILE) nothing of the write is there, and writes succeed again once there is room. After any other failed
    write, and after any failed sync, the database takes no more of them: mend what `errno` names, then close and open it
    again.
    Made like an OSError: StorageError(errno, text, filename).

    `lasting` is true when a sync of the directory failed, for whatever reason: that it succeeds when tried
    again proves nothing.
    """

    lasting = False


class VersionError(Error):
    """The file or database has a newer format than this lsm reads. Upgrade lsm; nothing was changed.

    `path` is the file when it is known, else an empty string.
    """

    def __init__(self, detail: str, path: str | os.PathLike[str] = "") -> None:
        self.detail = detail
        self.path = os.fspath(path)
        super().__init__(detail, self.path)

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


class UnsupportedError(Error):
    """The file needs something this build of lsm lacks, most often a compression library (lz4, zstd).

    Install a build that has it (the prebuilt wheels do); nothing was changed. Attributes as VersionError.
    """

    def __init__(self, detail: str, path: str | os.PathLike[str] = "") -> None:
        self.detail = detail
        self.path = os.fspath(path)
        super().__init__(detail, self.path)

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


class NotADatabaseError(Error, FileNotFoundError):
    """There is no database at `path`, and none may be made there: it is missing and `create=False`, it is a
    file, or a directory that holds other things. Give the directory of a database, or a new or empty one."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        detail: str = "there is no database here: give its directory, or open with create=True",
    ) -> None:
        self.path = os.fspath(path)
        self.detail = detail
        super().__init__(errno.ENOENT, detail, self.path)

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.detail)


class FormatError(Error, ValueError):
    """A dump, or lines written by hand, are not what `lsm load` reads, or a dump is damaged or cut off. `source` is the
    file, `place` the line or byte, `detail` what is wrong there. Mend it there, or make the dump again."""

    def __init__(self, source: str, place: str, detail: str) -> None:
        self.source = source
        self.place = place
        self.detail = detail
        super().__init__(source, place, detail)

    def __str__(self) -> str:
        return f"{self.source}: {self.place}: {self.detail}"


class DifferenceError(Error):
    """A copy that was read again does not hold what its source holds; it was removed. `source` and `copy` are the
    databases, `detail` the first row that differs. Run `verify()` on the source, and look at the disk."""

    def __init__(self, source: str | os.PathLike[str], copy: str | os.PathLike[str], detail: str) -> None:
        self.source = os.fspath(source)
        self.copy = os.fspath(copy)
        self.detail = detail
        super().__init__(self.source, self.copy, detail)

    def __str__(self) -> str:
        return f"{self.copy}: not the same as {self.source}: {self.detail}; the copy was removed"


class NotOfferedError(Error, NotImplementedError):
    """This engine has no such operation. `operation`, `engine`, `reason`, and `engines`: the names of some that have it;
    `lsm convert` makes a copy of the database for one of them."""

    def __init__(self, operation: str, engine: str, reason: str, engines: tuple[str, ...]) -> None:
        self.operation = operation
        self.engine = engine
        self.reason = reason
        self.engines = engines
        super().__init__(operation, engine, reason, engines)

    def __str__(self) -> str:
        return (f"the engine {self.engine!r} has no {self.operation}: {self.reason}; open with "
                + " or ".join(f"engine={name!r}" for name in self.engines))


class OptionError(Error, ValueError):
    """An option has a value outside its range. `option`, `value`, and `allowed`: what it may be, with
    units."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        self.option = option
        self.value = value
        self.allowed = allowed
        super().__init__(option, value, allowed)

    def __str__(self) -> str:
        return f"option {self.option}={self.value!r} is not possible: give {self.allowed}"


class OptionNameError(Error, TypeError):
    """There is no option of that name. `name` is what was given, `nearest` the most similar right name or
    None, `engine` the engine that was asked."""

    def __init__(self, name: str, nearest: str | None = None, engine: str = "lsm") -> None:
        self.name = name
        self.nearest = nearest
        self.engine = engine
        super().__init__(name, nearest, engine)

    def __str__(self) -> str:
        if self.engine != "lsm":
            return f"the engine {self.engine!r} has no option {self.name!r}" + (
                f": did you mean {self.nearest!r}?" if self.nearest else "")
        advice = f"did you mean {self.nearest!r}?" if self.nearest else "lsm.Options lists them all"
        return f"there is no option {self.name!r}: {advice}"


class PolicyError(Error, ValueError):
    """A compaction policy asked for what would lose, resurrect or reorder writes; nothing of it was done.

    Mend the policy (docs/policies.md), or open the database with a built-in one. `choice` is what it asked
    for, `reason` why it was refused.
    """

    def __init__(self, choice: object, reason: str) -> None:
        self.choice = choice
        self.reason = reason
        super().__init__(choice, reason)

    def __str__(self) -> str:
        return f"the compaction policy chose {self.choice!r}, which is refused: {self.reason}"


class BusyError(Error):
    """Two users at once of what has one: two threads used one cursor, scan or batch at the same time (give each
    thread its own), or a signal handler came in the middle of a write of its own thread (let it set a flag)."""
