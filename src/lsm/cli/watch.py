"""Watch: sees to it that Ctrl-C ends a command within a moment, whatever it is in the middle of.

Python turns the signal into KeyboardInterrupt when the main thread comes back to its code. A command then lets go of the
database in the usual way; but that may be a long step of C, or the flush of what is in memory, and with the engine pylsm
that takes its time. So when it has not ended GRACE seconds after the signal, or at a second Ctrl-C, the process ends at
once. That harms no database, which is made for being killed: what was written is in its log, and is found at the next open.

Threads: one of its own, which the system wakes by a pipe; it touches nothing but stderr and `leftovers`.
"""
from __future__ import annotations

import os
import select
import shutil
import signal
import threading
import time
from pathlib import Path
from types import TracebackType

from lsm.cli.outcome import INTERRUPTED

GRACE = 1.0                     # seconds
SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"   # on an empty line
REMOVING_TRIES = 5              # the main thread may be making files meanwhile


class Watch:
    """`with Watch("load"):` around all that may take long. In the main thread, one at a time."""

    def __init__(self, command: str) -> None:
        self._command = command
        self.leftovers: list[Path] = []         # unfinished directories, of no use to anybody: removed at a sudden end

    def __enter__(self) -> Watch:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="lsm-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._before)
        os.close(self._write)                   # the end of what the thread reads
        self._thread.join()
        os.close(self._read)

    def unfinished(self, destination: str | os.PathLike[str], suffix: str) -> None:
        """What is being made for `destination` under its name and `suffix`, unless somebody else's stands there already."""
        staging = Path(f"{os.path.abspath(destination)}{suffix}")
        self.leftovers += [staging] * (not os.path.lexists(staging))

    def _run(self) -> None:
        if self._interrupted(None) and self._interrupted(time.monotonic() + GRACE) is not False:
            for _ in range(REMOVING_TRIES):
                for path in self.leftovers:
                    shutil.rmtree(path, ignore_errors=True)
            shown = SHOW_CURSOR if os.isatty(2) else ""         # past whatever draws on it, which may hold its locks
            os.write(2, f"{shown}lsm {self._command}: interrupted\n".encode())
            os._exit(INTERRUPTED)

    def _interrupted(self, deadline: float | None) -> bool | None:
        """Wait for Ctrl-C; False when the command ended before it came, None when neither happened in time."""
        while select.select([self._read], [], [], None if deadline is None else max(0.0, deadline - time.monotonic()))[0]:
            woken = os.read(self._read, 64)
            if signal.SIGINT in woken or not woken:
                return bool(woken)
        return None
