"""A program on a terminal of its own, for its tests: what it shows is waited for, never slept for.

The terminal is the program's controlling one, so that Ctrl-C typed there is a signal. LIMIT is for what hangs; nothing else
here depends on time.
"""
import os
import pty
import select
import signal
import subprocess
import sys

LIMIT = 60
LAUNCH = ("import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
          "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])")
CTRL_C, CTRL_D, CTRL_P = "\x03", "\x04", "\x10"


class Terminal:
    """A context manager; at its end the program is killed if it still runs."""

    def __init__(self, *arguments, **environment):
        self.ours, theirs = pty.openpty()
        self.shown = ""                 # all of it
        self._from = 0                  # what was waited for stands before this
        surroundings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "FORCE_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, "-m", "lsm.cli", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
            env={**surroundings, "TERM": "dumb", "INPUTRC": os.devnull, "PYTHONUTF8": "1", **environment})
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.ours)

    def type(self, text):
        os.write(self.ours, text.encode())

    def expect(self, text):
        """Wait until this is shown behind what was waited for before; answers what stands between."""
        while (at := self.shown.find(text, self._from)) < 0:
            assert self._read(), f"it ended, and did not show {text!r}: {self.shown[self._from:]!r}"
        between, self._from = self.shown[self._from:at], at + len(text)
        return between

    def end(self):
        """Wait until it ends; its status."""
        while self._read():
            pass
        return self.process.wait(LIMIT)

    def _read(self):
        """Some more of what it shows; False when it has ended."""
        assert select.select([self.ours], [], [], LIMIT)[0], f"it hangs, and showed {self.shown[self._from:]!r}"
        try:
            data = os.read(self.ours, 65536)
        except OSError:                 # how Linux says that nobody has the other end
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)
