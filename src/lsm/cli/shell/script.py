"""Script: lines from a pipe or a file. It stops at the first error, which is told with the number of its line, and with the
status that this error has (lsm.cli.outcome); 2 is a line that makes no sense.
"""
from __future__ import annotations

import errno
import io
import sys

from lsm.cli.outcome import DONE, FAILED, USAGE, outcome_of, say
from lsm.cli.shell.commands import execute
from lsm.cli.shell.session import Session
from lsm.cli.shell.words import WrongLine
from lsm.cli.watch import Watch


def run(session: Session) -> int:
    """Every line of stdin."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "the input is closed", "stdin")
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")      # as a dump, whatever the locale says
    begun = 0                           # the line of the batch that is open
    with Watch("shell"):
        for number, line in enumerate(sys.stdin, 1):
            status = _one(session, number, line)
            if status != DONE:
                return status
            begun = 0 if session.batch is None else begun or number
            if session.ended:
                break
    if begun:
        say("shell", f"the batch that line {begun} began was not committed: nothing of it is written")
        return FAILED
    return DONE


def _one(session: Session, number: int, line: str) -> int:
    where = f"shell: line {number}"

    def work() -> int:
        try:
            execute(session, line)
        except WrongLine as mistake:
            say(where, str(mistake))
            return USAGE
        return DONE

    return outcome_of(where, work)
