"""The program `lsm`: in this process where only what it does and prints matters, as a process of its own where signals, pipes
or terminals do (each start takes a quarter of a second)."""
import io
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

COMMAND = [sys.executable, "-m", "lsm.cli"]
TIMEOUT = 110


@dataclass
class Done:
    """What became of a run."""

    status: int
    out: str
    err: str

    @property
    def raw(self):
        return self.out.encode("utf-8", "surrogateescape")


def run(*arguments, stdin=b""):
    """`lsm ARGUMENTS` in this process."""
    from lsm.cli.app import run as program

    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    given = tempfile.TemporaryFile()
    given.write(stdin)
    given.seek(0)
    streams = io.TextIOWrapper(given), io.TextIOWrapper(out, "ascii"), io.TextIOWrapper(err, "utf-8")
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        status = program([os.fspath(argument) for argument in arguments])
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        given.close()
        for stream in streams[1:]:
            stream.flush()
    assert "Traceback" not in err.getvalue().decode()
    return Done(status, out.getvalue().decode("utf-8", "surrogateescape"), err.getvalue().decode())


def start(*arguments, **how):
    """`lsm ARGUMENTS` as a process that was begun."""
    return subprocess.Popen([*COMMAND, *map(os.fspath, arguments)], **how)
