"""HASHLOG: the file that says which data files a hashlog is made of, and by which it is told from other databases.

The format, with a worked example in bytes, is docs/format-hashlog.md; its constants are here. Each change writes the whole
as HASHLOG.tmp, syncs it, and renames it over HASHLOG; then the directory is synced. So a merge is done in one step: before it
the old files count, after it the new ones, and whatever the file does not name was being made, or is no longer needed, and is
removed at the next open.

Invariants: `decode` accepts only what `encode` made: anything else is a CorruptionError, or a VersionError when a newer lsm
made it. What HASHLOG names is complete and durable, name included; of `open` files that holds of the header.

One thread at a time installs into a directory; `encode` and `decode` are pure.
"""
from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from lsm import _core
from lsm.engines.hashlog.options import HashLogOptions
from lsm.errors import CorruptionError, OptionError, OptionNameError, VersionError
from lsm.place import LOCK
from lsm.tree.manifest import DATABASE_ID_BYTES, HEX, checksum

MARKER = "HASHLOG"
MARKER_NEW = "HASHLOG.tmp"
FORMAT_VERSION = 1
HEADER = re.compile(rb"lsm-hashlog ([1-9][0-9]{0,8}) ([0-9a-f]{8})\n")
NUMBERED = re.compile(r"([0-9]{6,10})\.(data|hint)")
NUMBER_MAX = (1 << 32) - 1
SEQUENCE_MAX = (1 << 48) - 1


@dataclass(frozen=True)
class FileMeta:
    """A data file that is never written to any more."""

    number: int
    size: int               # bytes; every one is covered by a checksum
    records: int
    min_sequence: int
    max_sequence: int

    def check(self) -> None:
        """Raise ValueError when it cannot be."""
        for name, least in (("number", 1), ("size", _core.LOG_HEADER), ("records", 1), ("min_sequence", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name}={value!r} of a file is out of range")
        if type(self.max_sequence) is not int or not self.min_sequence <= self.max_sequence <= SEQUENCE_MAX:
            raise ValueError(f"max_sequence={self.max_sequence!r} of file {self.number} is out of range")


@dataclass(frozen=True)
class State:
    """What HASHLOG says. Sequences and numbers are counters that never go back."""

    database_id: bytes                  # 16 random bytes, for the life of the database; data files and hints carry it too
    next_file: int = 1                  # above the number of every file ever made
    last_sequence: int = 0              # every write up to it is in `files`, or was overwritten there
    files: tuple[FileMeta, ...] = ()    # by number
    open: tuple[int, ...] = ()          # files that were being written to, oldest first; none after a clean close
    options: HashLogOptions = field(default_factory=HashLogOptions)

    def check(self) -> None:
        """Raise ValueError when the parts do not fit together."""
        if type(self.database_id) is not bytes or len(self.database_id) != DATABASE_ID_BYTES:
            raise ValueError(f"database_id is not {DATABASE_ID_BYTES} bytes")
        for name, most in (("next_file", NUMBER_MAX), ("last_sequence", SEQUENCE_MAX)):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"{name}={value!r} is out of range")
        for meta in self.files:
            meta.check()
            if meta.max_sequence > self.last_sequence:
                raise ValueError(f"file {meta.number} has a sequence above last_sequence={self.last_sequence}")
        numbers = [meta.number for meta in self.files]
        for ascending in ((*numbers, self.next_file), (0, *self.open, self.next_file)):
            if any(type(n) is not int for n in ascending) or any(a >= b for a, b in zip(ascending, ascending[1:], strict=False)):
                raise ValueError(f"the numbers of files {ascending!r} do not ascend")
        if set(numbers) & set(self.open):
            raise ValueError("a file is named twice")


PLAIN = ("next_file", "last_sequence")
BODY_KEYS = {*PLAIN, "database_id", "files", "open", "options"}
FILE_KEYS = {f.name for f in fields(FileMeta)}


def encode(state: State) -> bytes:
    """The bytes of HASHLOG; ValueError when the state is not one that could be read back."""
    state.check()
    body: dict[str, Any] = {name: getattr(state, name) for name in PLAIN}
    body["database_id"] = state.database_id.hex()
    body["open"] = list(state.open)
    body["options"] = dataclasses.asdict(state.options)
    body["files"] = [dataclasses.asdict(meta) for meta in state.files]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    start = b"lsm-hashlog %d " % FORMAT_VERSION
    return start + checksum(start + text) + b"\n" + text


def decode(data: bytes, path: str) -> State:
    """The state in these bytes; `path` is for the messages."""
    header = HEADER.match(data)
    if header is None:
        raise CorruptionError(path, 0, "this is not the header line of a hashlog")
    text = data[header.end():]
    if checksum(data[:header.start(2)] + text) != header[2]:
        raise CorruptionError(path, header.start(2), "the checksum does not match the contents")
    if int(header[1]) > FORMAT_VERSION:
        raise VersionError(f"hashlog format {int(header[1])} is newer than {FORMAT_VERSION}, the newest this lsm reads: "
                           "upgrade lsm; nothing was changed", path)
    try:
        state = _state(json.loads(text.decode("ascii")))
        state.check()
    except (ValueError, TypeError, KeyError, RecursionError, OptionError, OptionNameError) as error:
        raise CorruptionError(path, header.end(), f"{error}") from error
    return state


def _state(body: Any) -> State:
    if not isinstance(body, dict) or set(body) != BODY_KEYS:
        raise ValueError("it has the wrong names")
    if not isinstance(body["database_id"], str) or not HEX.fullmatch(body["database_id"]):
        raise ValueError("database_id is not hex")
    if not all(isinstance(body[name], list) for name in ("files", "open")):
        raise ValueError("files and open are not lists")
    for plain in body["files"]:
        if not isinstance(plain, dict) or set(plain) != FILE_KEYS:
            raise ValueError("a file has the wrong names")
    return State(database_id=bytes.fromhex(body["database_id"]), open=tuple(body["open"]),
                 files=tuple(FileMeta(**plain) for plain in body["files"]),
                 options=HashLogOptions.from_json(body["options"]), **{name: body[name] for name in PLAIN})


# ------------------------------------------------------------ names

def numbered(name: str) -> tuple[int, str] | None:
    """(number, "data" or "hint") of such a file's name, None for any other."""
    match = NUMBERED.fullmatch(name)
    if match is None or f"{int(match[1]):06d}.{match[2]}" != name:
        return None
    return int(match[1]), match[2]


def foreign(names: Iterable[str]) -> list[str]:
    """The names in a directory that no hashlog has."""
    return [name for name in names if name not in (MARKER, MARKER_NEW, LOCK) and numbered(name) is None]


def highest_number(names: Iterable[str]) -> int:
    """The highest number in any name, 0 when there is none: new files are numbered above it."""
    return max((file[0] for file in map(numbered, names) if file is not None), default=0)


# ------------------------------------------------------------ on disk

def prepare(directory: _core.Directory, state: State) -> None:
    """Put `state` beside HASHLOG, ready to be switched to. When it raises, nothing has changed. What it names must be durable
    already."""
    data = encode(state)
    if MARKER_NEW in directory.list():
        directory.unlink(MARKER_NEW)
    directory.create(MARKER_NEW, data)


def switch(directory: _core.Directory) -> None:
    """Make the prepared state the current one. When it raises, either may be current: stop writing. Only for lack of room
    nothing has changed: a rename refused for anything but EIO leaves both names as they are (POSIX)."""
    directory.rename(MARKER_NEW, MARKER)
    directory.sync()


def load(directory: _core.Directory) -> State | None:
    """The current state, or None when no hashlog was ever made here. Data files without HASHLOG are taken for one that lost
    it."""
    names = directory.list()
    path = os.path.join(directory.path, MARKER)
    if MARKER not in names:
        if any(numbered(name) for name in names):
            raise CorruptionError(path, 0, "it is missing although there are data files")
        return None
    return decode(directory.read(MARKER), path)
