"""The manifest: one file that says all there is to know of a database, its tables by level above all.

The format, with a worked example in bytes, is docs/format-manifest.md; its constants are here. A manifest is written
once and never changed: each new version writes MANIFEST-<n+1> whole, then CURRENT is switched to it.

Invariants: `decode` accepts only what `encode` made: anything else is a CorruptionError with the file and the offset,
or a VersionError when a newer lsm made it. CURRENT names a manifest that is whole and durable, always: the steps of
`prepare` and `switch`, and why each stands where it does:

1. create MANIFEST-n, synced         its bytes are durable before anything refers to them
2. sync the directory                so is its name; else CURRENT could outlive the file it names
3. create CURRENT.tmp, synced        never write into CURRENT itself: a torn one names nothing
4. rename it over CURRENT            the switch: readers and crashes see the old or the new, nothing between
5. sync the directory                the switch is durable; only now may what only the old version needed be removed

`prepare` is 1 to 3: when it fails nothing has changed. `switch` is 4 and 5: when it fails either may be current.

One thread at a time installs into a directory; `encode` and `decode` are pure.
"""
from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from lsm._chosen import core
from lsm.errors import CorruptionError, OptionError, OptionNameError, VersionError
from lsm.options import Options
from lsm.tree.version import SEQUENCE_MAX, TableMeta, Version

MAGIC = b"lsm-manifest"
FORMAT_VERSION = 1
DATABASE_ID_BYTES = 16
LEVELS_MAX = 64
CURRENT = "CURRENT"
CURRENT_NEW = "CURRENT.tmp"
HEADER = re.compile(rb"lsm-manifest ([1-9][0-9]{0,8}) ([0-9a-f]{8})\n")
MANIFEST_NAME = re.compile(r"MANIFEST-([0-9]{6,20})")
HEX = re.compile(r"([0-9a-f]{2})*")


class Directory(Protocol):
    """The directory of a database, as the storage layer gives it. May have a `path`, for messages."""

    def create(self, name: str, data: bytes) -> None: ...       # a new file with these bytes, synced
    def read(self, name: str) -> bytes: ...
    def rename(self, old: str, new: str) -> None: ...           # replaces `new` atomically
    def sync(self) -> None: ...                                 # makes names durable
    def unlink(self, name: str) -> None: ...
    def list(self) -> Iterable[str]: ...


@dataclass(frozen=True)
class State:
    """What a manifest says. Sequences and numbers are counters that never go back."""

    database_id: bytes                  # 16 random bytes, for the life of the database; tables carry it too
    number: int = 0                     # this manifest's own (set by `install`)
    next_file: int = 1                  # above the number of every manifest, log and table ever made
    last_sequence: int = 0              # the newest write in any table (and, after a clean close, in any log)
    logs: tuple[int, ...] = ()          # whose writes are not all in tables, oldest first; none after a clean close
    options: Options = field(default_factory=Options)
    version: Version = field(default_factory=Version.empty)

    def check(self) -> None:
        """Raise ValueError when the parts do not fit together."""
        if type(self.database_id) is not bytes or len(self.database_id) != DATABASE_ID_BYTES:
            raise ValueError(f"database_id is not {DATABASE_ID_BYTES} bytes")
        for name, most in (("number", None), ("next_file", None), ("last_sequence", SEQUENCE_MAX)):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= (most or (1 << 63) - 1):
                raise ValueError(f"{name}={value!r} is out of range")
        if self.number >= self.next_file:
            raise ValueError(f"number={self.number} is not below next_file={self.next_file}")
        if any(type(log) is not int or log < 1 for log in self.logs):
            raise ValueError(f"logs={self.logs!r} are not numbers of files")
        ascending = (*self.logs, self.next_file)
        if any(older >= newer for older, newer in zip(ascending, ascending[1:], strict=False)):
            raise ValueError(f"logs={self.logs!r} do not ascend below next_file={self.next_file}")
        if len(self.version.levels) > LEVELS_MAX:
            raise ValueError(f"{len(self.version.levels)} levels; at most {LEVELS_MAX}")
        self.version.check()
        for table in self.version.tables():
            if table.number >= self.next_file:
                raise ValueError(f"table {table.number} is not below next_file={self.next_file}")
            if table.max_sequence > self.last_sequence:
                raise ValueError(f"table {table.number} has a sequence above last_sequence={self.last_sequence}")


PLAIN = tuple(f.name for f in fields(State) if f.name not in ("database_id", "logs", "options", "version"))
BODY_KEYS = {*PLAIN, "database_id", "logs", "options", "levels"}
TABLE_KEYS = {f.name for f in fields(TableMeta)}


def manifest_name(number: int) -> str:
    return f"MANIFEST-{number:06d}"


def manifest_number(name: str) -> int | None:
    """The number in a manifest's name, None when it is another file. Names with needless zeros are other files."""
    match = MANIFEST_NAME.fullmatch(name)
    return int(match[1]) if match and manifest_name(int(match[1])) == name else None


def checksum(data: bytes) -> bytes:
    """Eight hex digits: the masked CRC32C."""
    crc = core.crc32c(data)
    return b"%08x" % ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def encode(state: State) -> bytes:
    """The bytes of a manifest; ValueError when the state is not one that could be read back."""
    state.check()
    body: dict[str, Any] = {name: getattr(state, name) for name in PLAIN}
    body["database_id"] = state.database_id.hex()
    body["logs"] = list(state.logs)
    body["options"] = state.options.to_json()
    body["levels"] = [[_plain_table(table) for table in level] for level in state.version.levels]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    start = b"%s %d " % (MAGIC, FORMAT_VERSION)
    return start + checksum(start + text) + b"\n" + text


def _plain_table(table: TableMeta) -> dict[str, Any]:
    plain = {f.name: getattr(table, f.name) for f in fields(table)}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in plain.items()}


def decode(data: bytes, path: str) -> State:
    """The state in a manifest's bytes; `path` is for the messages."""
    header = HEADER.match(data)
    if header is None:
        raise CorruptionError(path, 0, "this is not the header line of a manifest")
    text = data[header.end():]
    if checksum(data[:header.start(2)] + text) != header[2]:
        raise CorruptionError(path, header.start(2), "the checksum does not match the contents")
    if int(header[1]) > FORMAT_VERSION:
        raise VersionError(f"manifest format {int(header[1])} is newer than {FORMAT_VERSION}, the newest this lsm "
                           "reads: upgrade lsm; nothing was changed", path)
    try:
        state = _state(json.loads(text.decode("ascii"), object_pairs_hook=_no_key_twice))
        state.check()
    except (ValueError, RecursionError, OptionError, OptionNameError) as error:
        raise CorruptionError(path, header.end(), f"{error}") from error
    return state


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise ValueError("a name occurs twice")
    return plain


def _object(plain: Any, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ValueError(f"{what} is not an object")
    if set(plain) != names:
        raise ValueError(f"{what} has the wrong names: {sorted(set(plain) ^ names)[:3]}")
    return plain


def _bytes(plain: Any, what: str) -> bytes:
    if not isinstance(plain, str) or not HEX.fullmatch(plain):
        raise ValueError(f"{what} is not hex")
    return bytes.fromhex(plain)


def _list(plain: Any, what: str) -> list[Any]:
    if not isinstance(plain, list):
        raise ValueError(f"{what} is not a list")
    return plain


def _state(plain: Any) -> State:
    body = _object(plain, BODY_KEYS, "the manifest")
    if not isinstance(body["options"], dict):
        raise ValueError("options is not an object")
    levels = tuple(tuple(map(_table, _list(level, "a level"))) for level in _list(body["levels"], "levels"))
    return State(database_id=_bytes(body["database_id"], "database_id"), options=Options.from_json(body["options"]),
                 logs=tuple(_list(body["logs"], "logs")), version=Version(levels), **{name: body[name] for name in PLAIN})


def _table(plain: Any) -> TableMeta:
    table = _object(plain, TABLE_KEYS, "a table")
    keys = {name: _bytes(table[name], name) for name in ("smallest", "largest")}
    return TableMeta(**{**table, **keys})


def encode_current(number: int) -> bytes:
    name = manifest_name(number).encode()
    return b"%s %s\n" % (name, checksum(name))


def decode_current(data: bytes, path: str) -> int:
    """The number of the manifest that CURRENT names."""
    name = data.split(b" ", 1)[0].decode("ascii", "replace")
    number = manifest_number(name)
    if number is None or data != encode_current(number):
        raise CorruptionError(path, 0, "this is not the name of a manifest with its checksum")
    return number


def _path(directory: Directory, name: str) -> str:
    return os.path.join(str(getattr(directory, "path", "")), name)


def prepare(directory: Directory, state: State) -> None:
    """Put `state` on disk as MANIFEST-<state.number>, ready to be switched to. When it raises, nothing has changed.

    The tables and logs it names must be durable already, names included.
    """
    if CURRENT_NEW in directory.list():
        directory.unlink(CURRENT_NEW)
    directory.create(manifest_name(state.number), encode(state))
    directory.sync()
    directory.create(CURRENT_NEW, encode_current(state.number))


def switch(directory: Directory, state: State) -> None:
    """Make the prepared manifest the current one. When it raises, either version may be current: stop writing. Only for
    lack of room nothing has changed: a rename refused for anything but EIO leaves both names as they are (POSIX)."""
    directory.rename(CURRENT_NEW, CURRENT)
    directory.sync()


def load(directory: Directory) -> State | None:
    """The current state, or None when no database was ever installed here.

    A new database must install its first manifest before it makes its first log: logs or tables without CURRENT are
    taken for what they would then be, a database that lost it.
    """
    names = set(directory.list())
    path = _path(directory, CURRENT)
    if CURRENT not in names:
        if any(re.fullmatch(r"[0-9]{6,20}\.(log|table)", name) for name in names):
            raise CorruptionError(path, 0, "it is missing although there are logs or tables")
        return None
    number = decode_current(directory.read(CURRENT), path)
    name = manifest_name(number)
    if name not in names:
        raise CorruptionError(path, 0, f"it names {name}, which is missing")
    state = decode(directory.read(name), _path(directory, name))
    if state.number != number:
        raise CorruptionError(_path(directory, name), 0, f"this is manifest {state.number} under another name")
    return state
