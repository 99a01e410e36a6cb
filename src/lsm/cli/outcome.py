"""Outcome: how a command ends: its exit status, and one line on stderr when it failed. Stdout is data alone.

    0    done; also when whoever read the output had enough and closed it
    1    failed: the line names file and place
    2    the command line was wrong, or an extra is missing
    130  interrupted by Ctrl-C
"""
import os
import sys
from collections.abc import Callable

import typer

import lsm
from lsm.cli.wording import line

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
UsageError: type[Exception] = typer.BadParameter.__mro__[1]         # Typer has a Click of its own in newer versions


class Failed(Exception):
    """The command did what it could, and the answer is no: a line to be said, status 1."""


def outcome_of(command: str, work: Callable[[], int | None]) -> int:
    """Do the work; its exit status. `command` is "" when it is not known which one was meant."""
    try:
        return _attempt(command, work)
    except BrokenPipeError:
        _drop_output()
        return DONE
    except KeyboardInterrupt:
        _drop_output()
        say(command, "interrupted")
        return INTERRUPTED


def _attempt(command: str, work: Callable[[], int | None]) -> int:
    try:
        status = work() or DONE
        _flush()
        return status
    except BrokenPipeError:
        raise
    except SystemExit as end:                       # Rich's way to say that a pipe is closed
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    except typer.Exit as end:
        _flush()
        return end.exit_code
    except UsageError as error:
        say(command, f"{error.format_message().rstrip('.')} (see `lsm {command + ' ' if command else ''}--help`)")  # type: ignore[attr-defined]
        return USAGE
    except (Failed, lsm.Error, OSError, ValueError) as error:
        _keep_what_was_read()
        say(command, line(error))
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


def say(command: str, text: str) -> None:
    """One line to people."""
    print(f"lsm {command}: {text}" if command else f"lsm: {text}", file=sys.stderr)
