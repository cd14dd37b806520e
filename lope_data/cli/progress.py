"""The progress bar of verbs that take long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lope_data.progress import Notice, Progress


@dataclass(frozen=True)
class Bar:
    """`progress`: called with (what, done, in all); `notice`: prints a line above the bar."""

    progress: Progress
    notice: Notice


@contextmanager
def bar() -> Iterator[Bar]:
    """A bar on stderr for each thing that is done, gone when all is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    shown = RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # a bar in a file would be an empty line
    )
    tasks: dict[str, TaskID] = {}

    def progress(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = shown.add_task(what, total=total)
        shown.update(tasks[what], completed=done)

    def notice(text: str) -> None:
        shown.console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    with shown:
        yield Bar(progress, notice)
