"""Python scripts run in a process of their own: for locks, forks, exits and kills that must not happen to the tests."""

import os
import subprocess
import sys
import textwrap

import lsm

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(lsm.__file__)))


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, *filter(None, sys.path)]), "PYTHONUNBUFFERED": "1"}


def command(script, *arguments, flags=()):
    return [sys.executable, *flags, "-c", "import lsm, os, sys\n" + textwrap.dedent(script), *map(str, arguments)]


def run(script, *arguments, flags=()):
    """Runs `script` to its end, which must be a clean one: what it printed."""
    done = subprocess.run(command(script, *arguments, flags=flags), env=environment(), capture_output=True, text=True,
                          timeout=100)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Child:
    """A script that talks: `hear()` reads a line it printed, `tell()` sends it one, `kill()` ends it by kill -9."""

    def __init__(self, script, *arguments):
        self.process = subprocess.Popen(command(script, *arguments), env=environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"the child ended: {self.process.wait(30)}\n{self.process.stderr.read()}"
        return line.strip()

    def tell(self, line=""):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
