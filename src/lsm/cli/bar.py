"""The bar of a long operation: how far, how fast, how much longer. On stderr, and only when that is a terminal."""
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lsm.cli.sizes import size

LOOK_SECONDS = 0.2


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
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TaskProgressColumn(), Amount(), Rate(),
        TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
    )


Tell = Callable[[int], None]


@contextmanager
def bar_of_bytes(description: str, total: int) -> Iterator[Tell | None]:
    """The bar of one operation on `total` bytes: what it is to be told the bytes done with; None where nobody looks."""
    with bar() as progress:
        if progress.disable:
            yield None
            return
        task = progress.add_task(description, total=total, unit="bytes")
        yield lambda done: progress.update(task, completed=min(done, total))


@contextmanager
def looked_after(description: str, total: int, done: Callable[[], int]) -> Iterator[None]:
    """The bar of an operation that does not tell how far it is: `done` is asked, by a thread, now and then."""
    with bar_of_bytes(description, total) as tell:
        if tell is None:
            yield
            return
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_SECONDS):
                with suppress(OSError):         # what there is to see may not be there yet, or no more
                    tell(done())

        looking = threading.Thread(target=look, name="lsm-bar", daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()
