"""Show: frames one after the other: drawn over each other on a terminal until q or Ctrl-C, as lines in a pipe, or once.

On a terminal the screen and the way it reads keys are put back as they were, however this ends.
"""
from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from lsm.cli.top.frame import Event, Frame, Source
from lsm.cli.top.picture import EVENTS, draw

QUIT = b"qQ\x04"            # and Ctrl-D


def show(source: Source, interval: float, count: int | None, as_json: bool) -> None:
    """`count` frames (None: until it is ended), `interval` seconds between them."""
    console = Console(highlight=False)
    try:
        if as_json:
            for frame in _frames(source, interval, count):
                print(frame.json(), flush=True)
        elif count is None and console.is_terminal:
            _live(console, source, interval)
        else:
            _drawn(console, source, interval, count)
    except KeyboardInterrupt:
        pass                            # how one ends it
    finally:
        source.close()


def _frames(source: Source, interval: float, count: int | None) -> Iterator[Frame]:
    made = 0
    while count is None or made < count:
        if made:
            time.sleep(interval)
        yield source.frame()
        made += 1


def _drawn(console: Console, source: Source, interval: float, count: int | None) -> None:
    past: list[tuple[float, Event]] = []
    for frame in _frames(source, interval, count):
        _remember(past, frame)
        console.print(draw(console, frame, past))


def _live(console: Console, source: Source, interval: float) -> None:
    past: list[tuple[float, Event]] = []
    with _keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            frame = source.frame()
            _remember(past, frame)
            live.update(draw(console, frame, past), refresh=True)
            if _quit(keys, interval):
                return


def _remember(past: list[tuple[float, Event]], frame: Frame) -> None:
    past += [(frame.time, event) for event in frame.events if event.what != "writing"]
    del past[:-EVENTS]


@contextmanager
def _keys() -> Iterator[int | None]:
    """The descriptor on which keys come one by one, unseen; None where stdin is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield None
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _quit(keys: int | None, interval: float) -> bool:
    """Wait for the next frame, or for a key: does it end this?"""
    end = time.monotonic() + interval
    while (left := end - time.monotonic()) > 0:
        if keys is None:
            time.sleep(left)
        elif select.select([keys], [], [], left)[0]:
            pressed = os.read(keys, 64)
            if not pressed or any(key in QUIT for key in pressed):
                return True
    return False
