"""Outcome: how a command ends: its exit status, and one line on stderr when it failed. Stdout is data alone.

    0    done; also when whoever read the output had enough and closed it
    1    failed: the line names file and place
    2    the command line was wrong, or an extra is missing
    130  interrupted by Ctrl-C
"""
import os
import sys
from collections.abc import Callable

import lsm

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def outcome_of(command: str, work: Callable[[], object]) -> int:
    """Do the work; its exit status."""
    try:
        return _attempt(command, work)
    except BrokenPipeError:
        _drop_output()
        return DONE
    except KeyboardInterrupt:
        _drop_output()
        _say(command, "interrupted")
        return INTERRUPTED


def _attempt(command: str, work: Callable[[], object]) -> int:
    try:
        work()
        _flush()
        return DONE
    except BrokenPipeError:
        raise
    except (lsm.Error, OSError, ValueError) as error:
        _keep_what_was_read()
        _say(command, _line(error))
        return USAGE if isinstance(error, (lsm.OptionError, lsm.OptionNameError)) else FAILED


def _keep_what_was_read() -> None:
    """It stands on stdout before the message; unless stdout is what failed."""
    try:
        _flush()
    except BrokenPipeError:
        raise
    except OSError:
        _drop_output()


def _flush() -> None:
    if sys.stdout is not None:              # None: the program was started with it closed
        sys.stdout.flush()


def _drop_output() -> None:
    """What is still to be written has no reader, or one that may never read: the end of Python must not wait for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, lsm.Error) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error)


def _say(command: str, line: str) -> None:
    print(f"lsm {command}: {line}", file=sys.stderr)
