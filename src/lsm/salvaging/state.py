"""State: which tables and logs make up the database: what the manifest says, or, without one, all there are.

CURRENT lost, the newest whole manifest counts, if no file is there that is newer than it. Without such a manifest nobody knows
which tables had been merged away and were only still there; every row may then be stale, and that is told. Pure functions of a
source.
"""
from __future__ import annotations

from collections import Counter

from lsm.errors import CorruptionError
from lsm.salvaging.loss import Loss
from lsm.salvaging.source import Source
from lsm.tree import manifest
from lsm.tree.files import highest_number, numbered

UNKNOWN = "which files count is not known without it: any row may be stale, or may have been deleted"


def find_state(source: Source, losses: list[Loss], notes: list[str]) -> manifest.State | None:
    """The state of the database; None when all files there are have to be taken. Adds to `losses` and `notes`. Raises
    VersionError."""
    number, told = _current(source, losses)
    if number is not None:
        state = _manifest(source, number, losses)
        if state is None:
            _unknown(source, manifest.manifest_name(number), losses)
        return state
    for name in sorted(filter(manifest.manifest_number, source.names), key=lambda name: -_number(name)):
        state = _manifest(source, _number(name), losses)
        if state is not None and highest_number(source.names) < state.next_file:
            losses.append(Loss(source.where(manifest.CURRENT), 0, 0, told, entries=False))
            notes.append(f"CURRENT was lost: the newest manifest, {name}, was taken")
            return state
        break
    losses.append(Loss(source.where(manifest.CURRENT), 0, 0, f"{told}; {UNKNOWN}"))
    return None


def _number(name: str) -> int:
    return manifest.manifest_number(name) or 0


def _current(source: Source, losses: list[Loss]) -> tuple[int | None, str]:
    """The manifest that CURRENT names, or what is wrong with it."""
    data = source.read(manifest.CURRENT)
    if data is None:
        return None, "it is missing, or cannot be read"
    try:
        return manifest.decode_current(data, source.where(manifest.CURRENT)), ""
    except CorruptionError as error:
        return None, error.detail


def _manifest(source: Source, number: int, losses: list[Loss]) -> manifest.State | None:
    name = manifest.manifest_name(number)
    path = source.where(name)
    data = source.read(name)
    try:
        if data is None:
            raise CorruptionError(path, 0, "it is missing, or cannot be read")
        state = manifest.decode(data, path)
        if state.number != number:
            raise CorruptionError(path, 0, f"this is manifest {state.number} under another name")
        return state
    except CorruptionError as error:
        losses.append(Loss(path, error.offset, len(data or b""), error.detail, entries=False))
        return None


def _unknown(source: Source, name: str, losses: list[Loss]) -> None:
    losses.append(Loss(source.where(name), 0, 0, UNKNOWN))


def files_there_are(source: Source, suffix: str) -> list[int]:
    """The numbers of all tables or logs, ascending."""
    found = [file[0] for file in map(numbered, source.names) if file is not None and file[1] == suffix]
    return sorted(found)


def commonest(identities: list[bytes]) -> bytes | None:
    """The database id that most files have."""
    return Counter(identities).most_common(1)[0][0] if identities else None
