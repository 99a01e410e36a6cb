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
        sys.stdout.flush()
        return DONE
    except BrokenPipeError:
        raise
    except (lsm.Error, OSError, ValueError) as error:
        sys.stdout.flush()                  # what could be read stands before the message
        _say(command, str(error))
        return USAGE if isinstance(error, (lsm.OptionError, lsm.OptionNameError)) else FAILED


def _drop_output() -> None:
    """What is still to be written has no reader, or one that may never read: the end of Python must not wait for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(command: str, line: str) -> None:
    print(f"lsm {command}: {line}", file=sys.stderr)
