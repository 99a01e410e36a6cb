"""Layout: the files of a btree, what BTREE, its marker, says, and keys as LMDB has them. docs/engine-btree.md has the format.

    BTREE               which tree counts
    LOCK                who writes
    tree-000001/        a tree: data.mdb, and lock.mdb, by which LMDB's readers and writers know of each other

A compacted tree gets a directory of its own: LMDB's readers in other processes agree with the writer through lock.mdb, which
says of one data.mdb which of its pages are read; another data.mdb beside the same lock.mdb would be taken for the one it was.

Invariants
- What BTREE names is complete and durable, names included. It is switched by a rename, then the directory is synced; only then
  is the tree before it removed.
- Trees that BTREE does not name were being made, or are no longer needed. Without BTREE there was never a row in a tree.
- LMDB takes no empty key. An empty key, and one that begins with a zero byte, is stored behind one more zero byte, which keeps
  the order (`stored`, `shown`); so one byte less than LMDB's 511 is left for keys.

One thread at a time, who has the LOCK, changes; the rest is pure.
"""
from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from lsm.errors import CorruptionError, StorageError, VersionError
from lsm.place import LOCK
from lsm.tree.manifest import checksum

if TYPE_CHECKING:
    from lsm import _core

MARKER, MARKER_NEW = "BTREE", "BTREE.tmp"
DATA = "data.mdb"
FORMAT_VERSION = 2
FIRST_TREE = 1
KEY_BYTES_MAX = 510
LINE = re.compile(rb"(lsm btree ([1-9][0-9]{0,8}) ([ -~]*))([0-9a-f]{8})\n")
TREE_NUMBER = re.compile(rb"([0-9]{6,10}) ")
TREE = re.compile(r"tree-([0-9]{6,10})")
FORMAT_1 = b"lsm btree 1\n"             # of no release: one tree, beside its marker
NEW_TREE_BYTES = 2 * os.sysconf("SC_PAGE_SIZE")     # without any row, LMDB's pages being the system's


# ------------------------------------------------------------ the marker

def encode(number: int) -> bytes:
    """The bytes of BTREE that names this tree.

    >>> encode(7)
    b'lsm btree 2 000007 1189e393\\n'
    """
    said = b"lsm btree %d %06d " % (FORMAT_VERSION, number)
    return said + checksum(said) + b"\n"


def decode(data: bytes, path: str) -> int:
    """The number of the tree that these bytes name; `path` is for the messages."""
    if data == FORMAT_1:
        raise VersionError("format 1, of a development version, is not read any more: have the lsm that made it write the rows "
                           "with `lsm dump`, and `lsm load` them", path)
    line = LINE.fullmatch(data)
    if line is None:
        raise CorruptionError(path, 0, "it does not say what it should")
    if checksum(line[1]) != line[4]:
        raise CorruptionError(path, line.start(4), "the checksum does not match the contents")
    if int(line[2]) > FORMAT_VERSION:
        raise VersionError(f"btree format {int(line[2])} is newer than {FORMAT_VERSION}, the newest this lsm reads: upgrade lsm; "
                           "nothing was changed", path)
    number = TREE_NUMBER.fullmatch(line[3])
    if number is None or int(line[2]) < FORMAT_VERSION:
        raise CorruptionError(path, line.start(3), "it names no tree")
    return int(number[1])


def load(directory: _core.Directory) -> int | None:
    """The number of the tree that counts; None when no btree was ever made here."""
    names = directory.list()
    marker = os.path.join(directory.path, MARKER)
    if MARKER in names:
        return decode(directory.read(MARKER, limit=256), marker)
    for number in numbers(names):
        with suppress(FileNotFoundError):
            if os.stat(os.path.join(tree_path(directory, number), DATA)).st_size > NEW_TREE_BYTES:
                raise CorruptionError(marker, 0, f"it is missing although there are rows in {tree_name(number)}; of a checkpoint "
                                                 "that was killed: remove it, and make it again")
    return None


def prepare(directory: _core.Directory, number: int) -> None:
    """Have a marker that names this tree ready, and all names durable. When it raises, nothing has changed."""
    if MARKER_NEW in directory.list():
        directory.unlink(MARKER_NEW)
    directory.create(MARKER_NEW, encode(number))
    directory.sync()


def switch(directory: _core.Directory) -> None:
    """Make the prepared marker the one that counts. When it raises, either may be: stop writing. Only for lack of room nothing
    has changed: a rename refused for anything but EIO leaves both names as they are (POSIX)."""
    directory.rename(MARKER_NEW, MARKER)
    directory.sync()


# ------------------------------------------------------------ trees

def tree_name(number: int) -> str:
    return f"tree-{number:06d}"


def tree_path(directory: _core.Directory, number: int) -> str:
    return os.path.join(directory.path, tree_name(number))


def numbers(names: Iterable[str]) -> list[int]:
    """The numbers of the trees among these names."""
    found = ((name, TREE.fullmatch(name)) for name in names)
    return [int(match[1]) for name, match in found if match and tree_name(int(match[1])) == name]


def foreign(names: Iterable[str]) -> list[str]:
    """The names in a directory that no btree has."""
    names = list(names)
    ours = {MARKER, MARKER_NEW, LOCK, *map(tree_name, numbers(names))}
    return [name for name in names if name not in ours]


def remove_others(directory: _core.Directory, kept: int | None) -> None:
    """Remove what is left of compactions and creations that did not come to their end. First the marker is made durable: it may
    be one whose own sync failed."""
    names = directory.list()
    others = [number for number in numbers(names) if number != kept]
    if others or MARKER_NEW in names:
        directory.sync()
    for number in others:
        remove_tree(tree_path(directory, number))
    if MARKER_NEW in names:
        directory.unlink(MARKER_NEW)


def remove_tree(path: str) -> None:
    """What cannot be removed stays for the next open."""
    shutil.rmtree(path, ignore_errors=True)


def next_number(directory: _core.Directory, number: int) -> int:
    return max([number, *numbers(directory.list())]) + 1


def storage_error(error: OSError, path: str) -> StorageError:
    return StorageError(error.errno or errno.EIO, error.strerror or str(error), path)


# ------------------------------------------------------------ keys

def stored(key: bytes) -> bytes:
    """The key as LMDB has it: never empty.

    >>> stored(b""), stored(b"\\0a"), stored(b"a")
    (b'\\x00', b'\\x00\\x00a', b'a')
    """
    return b"\0" + key if not key or key[0] == 0 else key


def shown(stored: bytes) -> bytes:
    return stored[1:] if stored[0] == 0 else stored
