"""Interrupts: sees to it that a Ctrl-C at the terminal is heard, whenever it comes.

Python hears a signal when its own code runs, or when the call of the system that it waits in is broken off by it. So it does not
hear one that comes just before `readline` waits for the next key; and of one during a completion `readline` drops the exception.
A thread therefore sends the signal again when its handler has not run a moment later.

A pipe has the order of things: the byte of the signal when it came (written by Python's own handler in C), HEARD by the one here.
Threads: entered and left by the main thread, which signals belong to; the other one reads the pipe.
"""
from __future__ import annotations

import os
import select
import signal
import threading
from types import TracebackType
from typing import Any, NoReturn

AGAIN = 0.05                    # seconds
HEARD = 0                       # no signal has this number


class Interrupts:
    """`with Interrupts() as interrupts:` around lines that are typed."""

    def __enter__(self) -> Interrupts:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._handler_before = signal.signal(signal.SIGINT, self._hear)
        self._woken_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, args=(threading.get_ident(),), name="lsm-interrupts", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._handler_before)
        signal.set_wakeup_fd(self._woken_before)
        os.close(self._write)                   # the end of what the thread reads
        self._thread.join()
        os.close(self._read)

    def put_off(self) -> None:
        """KeyboardInterrupt came where nobody lets it through: it comes again."""
        os.write(self._write, bytes([signal.SIGINT]))

    def _hear(self, *_: Any) -> NoReturn:
        os.write(self._write, bytes([HEARD]))
        raise KeyboardInterrupt

    def _run(self, main: int) -> None:
        unheard = False
        while True:
            if not select.select([self._read], [], [], AGAIN if unheard else None)[0]:
                signal.pthread_kill(main, signal.SIGINT)
                continue
            came = os.read(self._read, 64)
            if not came:
                return
            if HEARD in came or signal.SIGINT in came:
                unheard = came.rfind(signal.SIGINT) > came.rfind(HEARD)
