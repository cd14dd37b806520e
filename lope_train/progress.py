"""Progress of a stage: what it does, then a bar with the step, the loss and the time left."""

from __future__ import annotations

from typing import Self

from rich import progress as rich
from rich.console import Console


class Progress:
    """A context manager that draws on stderr; without a terminal it writes the last state alone."""

    def __init__(self, stage: str, about: str) -> None:
        """`stage` labels the bar; `about` is printed once before it."""
        self._about = f"{stage}: {about}"
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(bar_width=20),
            rich.TextColumn("step"),
            rich.MofNCompleteColumn(),
            rich.TextColumn("loss {task.fields[loss]}"),
            rich.TimeElapsedColumn(),
            rich.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(stage, total=None, loss="...")

    def __enter__(self) -> Self:
        self._bar.console.print(self._about, highlight=False, soft_wrap=True)
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, step: int, steps: int, loss: float) -> None:
        """Draw the state after `step` of `steps`."""
        self._bar.update(self._task, completed=step, total=steps, loss=f"{loss:.3f}")
