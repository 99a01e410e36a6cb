"""How a step is told, checked and timed.

Every step opens with one sentence saying what it shows. Every promise goes through `check`, and a broken one ends the
tour with a message and a non-zero status. Only the database's own calls are timed (`timed`), never the tour's work.
"""
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lsm.cli.sizes import size as size


class BrokenPromise(Exception):
    """The database did not do what it promises: the tour ends here."""


@dataclass
class Figure:
    """One row of the closing table: so many operations in so many seconds."""

    name: str
    operations: int = 0
    seconds: float = 0.0


@dataclass
class Guide:
    console: Console
    figures: dict[str, Figure] = field(default_factory=dict)
    steps: int = 0
    checks: int = 0

    def step(self, title: str, sentence: str) -> None:
        self.steps += 1
        self.console.print(f"\n[bold]{self.steps}. {escape(title)}.[/bold] {escape(sentence)}")

    def tell(self, line: str) -> None:
        """A result, indented under its step."""
        margin = "   "
        lines = textwrap.wrap(line, self.console.width, initial_indent=margin, subsequent_indent=margin)
        self.console.print("\n".join(lines), markup=False)

    def check(self, kept: bool, promise: str) -> None:
        if not kept:
            raise BrokenPromise(f"step {self.steps}: not true: {promise}")
        self.checks += 1

    @contextmanager
    def timed(self, name: str, operations: int) -> Iterator[None]:
        """Add the operations, and the time the block took, to the figure of that name."""
        figure = self.figures.setdefault(name, Figure(name))
        began = time.perf_counter()
        yield
        figure.seconds += time.perf_counter() - began
        figure.operations += operations

    def progress(self) -> Progress:
        """A bar on a terminal, nothing in a pipe."""
        return Progress(
            TextColumn("  "),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("files"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
