"""Progress of a run: what a stage does, then one bar over all stages with loss, speed and the time left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich import progress as rich

from lope_common.shown import SafeConsole


class Progress:
    """A context manager that draws on stderr; without a terminal it writes each stage's last state alone."""

    def __init__(self, steps: Sequence[int], quiet: bool = False) -> None:
        """`steps` of each stage, in order; `quiet` where another process draws."""
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(bar_width=20),
            rich.TextColumn("step"),
            rich.MofNCompleteColumn(),
            rich.TextColumn("loss {task.fields[loss]}  {task.fields[speed]}"),
            rich.TimeElapsedColumn(),
            rich.TimeRemainingColumn(elapsed_when_finished=False),
            console=SafeConsole(stderr=True, quiet=quiet),
            # a step takes seconds: the estimate needs a longer memory than a download's
            speed_estimate_period=300,
        )
        self._steps = list(steps)
        self._before = 0
        self._task = self._bar.add_task("starting", total=sum(steps), loss="...", speed="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def enter(self, number: int, name: str, about: str) -> None:
        """Stage `number`, from 0, begins."""
        self.say(f"{name}: {about}")
        self._before = sum(self._steps[:number])
        self._bar.update(self._task, description=name, completed=self._before)

    def show(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Draw the state after `step` of the stage."""
        speed = f"{tokens_per_second:,.0f} tokens/s" if tokens_per_second else ""
        self._bar.update(self._task, completed=self._before + step, loss=f"{loss:.3f}", speed=speed)
