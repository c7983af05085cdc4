"""What all answers on a terminal share: the console, a sign of life, tables, amounts and figures."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipesim.report.wording import counted, duration, figure, is_small, usd

__all__ = ["console", "counted", "duration", "figure", "headline", "is_small", "new_table", "usd", "working"]

_PLAIN_WIDTH = 110


class _Console(Console):
    """A console that leaves it to the command what a reader that has gone means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Return the console for results; where stdout is not a terminal, lines are 110 wide and free of colour."""
    return _Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False, markup=False, emoji=False)


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None] | None]:
    """Show on stderr, if it is a terminal, that something is going on; yield what adds to the text."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(text)
        yield lambda more: bar.update(task, description=f"{text}: {more}")


def headline(text: str, *, good: bool) -> Text:
    """Return the first line of an answer."""
    return Text(text, style="bold green" if good else "bold red")


def new_table(*columns: str, left: int = 1, last: bool = False) -> Table:
    """Return a table without rows: the first columns (and the last one) are set to the left, others to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        is_left = index < left or (last and index == len(columns) - 1)
        table.add_column(column, justify="left" if is_left else "right", overflow="fold")
    return table
