"""Interactive: lines typed at a terminal. An error ends no session; Ctrl-C abandons the line, or the command that runs; Ctrl-D
ends.

Editing, history and completion are those of Python's `readline`; where this Python has none, lines are typed without.
"""
from __future__ import annotations

import sys
from types import ModuleType

import lsm
from lsm.cli.outcome import DONE, Failed
from lsm.cli.shell.commands import execute
from lsm.cli.shell.completion import completions
from lsm.cli.shell.history import History, place
from lsm.cli.shell.interrupts import Interrupts
from lsm.cli.shell.session import Session
from lsm.cli.wording import line as told

try:
    import readline as found
except ImportError:                     # a Python built without it
    found = None                        # type: ignore[assignment]

readline: ModuleType | None = found


def converse(session: Session, keep: bool) -> int:
    """Until quit or Ctrl-D. `keep`: the lines, in the file of the history."""
    history = History(place() if keep else None)
    if history.trouble is not None:
        _tell(f"no history is kept: {told(history.trouble)}")
    with Interrupts() as interrupts:
        if readline is not None:
            _prepare(readline, session, history, interrupts)
        print(f"{session.db.path}, engine {session.db.traits.engine}. `help` lists the commands, Ctrl-D ends.")
        while not session.ended:
            try:
                _one(session, history)
            except KeyboardInterrupt:
                print()                 # behind the ^C; what was typed, or what ran, is abandoned
            except EOFError:
                print()
                break
    if session.batch is not None:
        _tell(f"the batch of {session.gathered:,} writes was not committed: nothing of it is written")
    return DONE


def _one(session: Session, history: History) -> None:
    """One line."""
    line = input(session.prompt)
    if history.add(line) and readline is not None:
        readline.add_history(line)
    try:
        execute(session, line)
        sys.stdout.flush()
    except (Failed, lsm.Error, OSError, ValueError) as error:
        sys.stdout.flush()
        _tell(told(error))


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _prepare(readline: ModuleType, session: Session, history: History, interrupts: Interrupts) -> None:
    readline.set_auto_history(False)
    readline.clear_history()
    for line in history.lines:
        readline.add_history(line)
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            try:
                found[:] = completions(session, readline.get_line_buffer()[:readline.get_endidx()], readline.get_begidx())
            except KeyboardInterrupt:
                found.clear()
                interrupts.put_off()
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t")
    edit_line = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if edit_line else "tab: complete")
