"""How long work tells what it is doing, and the bar that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Progress = Callable[[str, int, int], None]
"""Called with (what, how many are done, how many there are; 0 where that is not known)."""

Notice = Callable[[str], None]
"""Called with what the user should know while waiting."""


def silent(*_: object) -> None:
    """A `Progress` or `Notice` that tells nobody."""


@dataclass(frozen=True)
class Bar:
    """`progress`: moves the bar of what is done; `notice`: prints a line above the bars."""

    progress: Progress
    notice: Notice


@contextmanager
def bar() -> Iterator[Bar]:
    """Within the context a bar on stderr for each thing that is done; all are gone after it.

    Where stderr is no terminal there is no bar, and notices are plain lines.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    from lope_common.shown import SafeConsole

    console = SafeConsole(stderr=True)
    bars = RichProgress(
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
            tasks[what] = bars.add_task(what, total=total or None)
        bars.update(tasks[what], completed=done, total=total or None)

    def notice(text: str) -> None:
        bars.console.print(text, style="yellow", markup=False, soft_wrap=True)

    with bars:
        yield Bar(progress, notice)


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """The same for one thing that is gone through item by item; gives what is told how many more are done."""
    done = 0
    with bar() as shown:
        shown.progress(what, 0, total)

        def advance(more: int) -> None:
            nonlocal done
            done += more
            shown.progress(what, done, total)

        yield advance
