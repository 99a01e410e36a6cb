"""The bar of a long operation: how far, how fast, how much longer. On stderr, and only when that is a terminal."""
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from lsm.cli.sizes import size


class Amount(ProgressColumn):
    """`12,345 of 67,890 rows`; of bytes `12.3 kB of 4.56 MB`."""

    def render(self, task: Task) -> Text:
        all_of_it = "" if task.total is None else f" of {shown(task.total, task.fields['unit'])}"
        return Text(f"{shown(task.completed, task.fields['unit'])}{all_of_it} {task.fields['unit']}".removesuffix(" bytes"))


class Rate(ProgressColumn):
    """`345,678 rows/s`; of bytes `34.5 MB/s`."""

    def render(self, task: Task) -> Text:
        if task.speed is None:
            return Text("")
        unit = task.fields["unit"]
        return Text(f"{shown(task.speed, unit)}/s" if unit == "bytes" else f"{shown(task.speed, unit)} {unit}/s")


def shown(amount: float, unit: str) -> str:
    return size(amount) if unit == "bytes" else f"{amount:,.0f}"


def bar() -> Progress:
    """Tasks need a field `unit`: "bytes", or what is counted."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=24), Amount(), Rate(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )


@contextmanager
def working(description: str) -> Iterator[None]:
    """For what cannot be told how far it is: that it goes on, and for how long."""
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
                  console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(description)
        yield
