"""History: the lines that were typed, in a file that only its owner can read, for the next session.

The file is that of LSM_HISTORY (an empty one: none), else lsm/history in XDG_STATE_HOME or ~/.local/state. A line is added as
soon as it is entered, so sessions side by side each keep theirs. A line that begins with a blank is not kept, nor is one that
is the same as the one before. Without the file, or the right to write it, a session goes on without a history.
"""
from __future__ import annotations

import os
from pathlib import Path

LINES = 2_000               # kept, when there are more than twice as many


def place() -> Path | None:
    """Where it is kept; None when it is switched off."""
    named = os.environ.get("LSM_HISTORY")
    if named is not None:
        return Path(named) if named else None
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return Path(state or Path.home() / ".local" / "state") / "lsm" / "history"
    except RuntimeError:                # nobody's home
        return None


class History:
    """Of one session. `trouble`: why it is not kept, if so."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.trouble: OSError | None = None
        self.lines: list[str] = []
        if path is not None:
            try:
                self._open(path)
            except OSError as error:
                self.trouble, self.path = error, None

    def _open(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), errors="surrogateescape") as file:
            os.fchmod(file.fileno(), 0o600)
            self.lines = file.read().splitlines()
        if len(self.lines) > 2 * LINES:
            self.lines = self.lines[-LINES:]
            shorter = path.with_name(f"{path.name}.{os.getpid()}")
            with open(os.open(shorter, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="surrogateescape") as file:
                file.write("".join(f"{line}\n" for line in self.lines))
            shorter.replace(path)

    def add(self, line: str) -> bool:
        """Keep the line, unless it is not to be; answers whether it is."""
        if not line.strip() or line[0].isspace() or (self.lines and self.lines[-1] == line):
            return False
        self.lines.append(line)
        if self.path is not None:
            try:
                with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", errors="surrogateescape") as file:
                    file.write(f"{line}\n")
            except OSError as error:
                self.trouble, self.path = error, None
        return True
