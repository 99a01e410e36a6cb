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
        say(command, f"{error.format_message()} (see `lsm {command + ' ' if command else ''}--help`)")  # type: ignore[attr-defined]
        return USAGE
    except (Failed, lsm.Error, OSError, ValueError) as error:
        _keep_what_was_read()
        say(command, line_of(error))
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


def line_of(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and not isinstance(error, lsm.Error) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error)


def say(command: str, line: str) -> None:
    """One line to people."""
    print(f"lsm {command}: {line}" if command else f"lsm: {line}", file=sys.stderr)
