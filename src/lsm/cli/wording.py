"""Wording: what went wrong, in one line, for somebody at a command line: what to do next names its options, not Python's.

Pure functions. The errors have their facts as attributes; where they are only text, the few turns of it that speak Python
are put in other words.
"""
from __future__ import annotations

import re

import lsm

TURNS = [
    (re.compile(r"engine=(['\"])(\w+)\1"), r"--engine \2"),
    (re.compile(r" of an engine of this package: give the directory of one; for one of another package, name its engine too"),
     ": give its directory; for an engine of another package, its --engine (convert: --source-engine) too"),
    (re.compile(r": give its directory, or open with create=True"), ": give its directory"),
    (re.compile(r"open with read_only=True, or make"), "make"),
    (re.compile(r"the database was opened with read_only=True: open it without to write"), "it was opened to be read"),
    (re.compile(r"; mend the cause, then close and open it again$"), ": mend the cause, then try again"),
]


def line(error: BaseException) -> str:
    """What to say of it."""
    return " ".join(_told(error).split("\n"))


def _told(error: BaseException) -> str:
    if isinstance(error, lsm.LockedError):
        holder = "another process" if error.pid is None else f"process {error.pid}"
        return f"{error.path}: the database is open in {holder}: end that, or wait for it with --wait SECONDS"
    if isinstance(error, lsm.CorruptionError):
        return f"{damage(error)}; `lsm verify` lists all damage, a checkpoint or backup restores it, `lsm salvage` rescues the rest"
    if isinstance(error, lsm.NotOfferedError):
        return (f"the engine {error.engine} has no {error.operation}: {error.reason}; `lsm convert` makes a copy for "
                + " or ".join(error.engines))
    if isinstance(error, lsm.OptionError):
        value = "" if error.value is True else f" {error.value}"
        return f"--{error.option.replace('_', '-')}{value} is not possible: give {error.allowed}".replace("'", "")
    if isinstance(error, OSError) and not isinstance(error, lsm.Error) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return _turned(str(error))


def _turned(text: str) -> str:
    for pattern, words in TURNS:
        text = pattern.sub(words, text)
    return text


def damage(error: lsm.CorruptionError) -> str:
    """File, place, what is wrong, and which keys that concerns."""
    concerned = "" if error.keys is None else f"; keys {_shown(error.keys[0], 'the first')} to {_shown(error.keys[1], 'the last')}"
    return f"{error.path}: damaged at byte {error.offset}: {error.detail}{concerned}"


def _shown(key: bytes | None, bound: str) -> str:
    from lsm.cli.output import shown

    return bound if key is None else shown(key)
