"""What a running study shows: one live table on a terminal, a line a finished job elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lope_common.shown import neutral
from pipelines.study.jobs import Job
from pipelines.study.schedule import Finished

_MARKS = {"waits": "·", "runs": "▸", "trained": "◐", "done": "●", "kept": "●", "failed": "✗", "not run": "✗"}
_STYLES = {
    "runs": "yellow",
    "trained": "cyan",
    "done": "green",
    "kept": "green",
    "failed": "bold red",
    "not run": "red",
}


class Progress:
    """Watches a study; a context in which its table is live."""

    def __init__(self, jobs: Sequence[Job], slots: int, console: Console) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._slots = slots
        self._console = console
        self._finished: dict[str, Finished] = {}
        self._running: dict[str, float] = {}
        live = Live(console=console, refresh_per_second=2, transient=True)
        self._live = live if console.is_terminal else None

    def shown(self) -> AbstractContextManager[object]:
        """The context in which the table stands."""
        return nullcontext() if self._live is None else self._live

    def started(self, job: Job) -> None:
        self._running[job.id] = time.monotonic()

    def finished(self, finished: Finished) -> None:
        job = finished.job
        self._running.pop(job.id, None)
        self._finished[job.id] = finished
        if self._live is None or finished.state == "failed":
            took = f"{finished.seconds:.0f} s" if finished.state == "done" else finished.state
            line = f"{len(self._finished)}/{len(self._jobs)}  {job.kind} {job.title}  {took}"
            line += f": {finished.reason}" if finished.reason else self._left(", about {} left")
            self._console.print(neutral(line), markup=False, soft_wrap=True, highlight=False)

    def tick(self) -> None:
        if self._live is not None:
            self._live.update(self._view())

    def seconds_left(self) -> float | None:
        """From how long jobs of each kind took here, by cost; None before one of each that takes long is done."""
        took: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for finished in self._finished.values():
            if finished.state in ("done", "kept"):
                took[finished.job.kind].append((finished.seconds, finished.job.cost))
        rates = {kind: sum(s for s, _ in pairs) / sum(c for _, c in pairs) for kind, pairs in took.items()}
        left = [job for job in self._jobs.values() if job.id not in self._finished]
        if any(job.kind not in rates for job in left if job.kind in ("train", "evaluate")):
            return None
        now = time.monotonic()
        total = sum(
            max(0.0, job.cost * rates.get(job.kind, 0.0) - (now - self._running.get(job.id, now))) for job in left
        )
        return total / self._slots

    def _left(self, form: str) -> str:
        seconds = self.seconds_left()
        return "" if seconds is None else form.format(timedelta(seconds=round(seconds)))

    def _view(self) -> Group:
        table = Table(box=box.SIMPLE_HEAD)
        for title in ("model", "method", "data", "seeds"):
            table.add_column(title)
        rows: dict[tuple[str, str, str], dict[int, str]] = {}
        for job in self._jobs.values():
            cell = job.cell
            if cell is not None and cell.arm is not None:
                assert cell.condition is not None
                assert cell.seed is not None
                seeds = rows.setdefault((cell.model, cell.arm, cell.condition), {})
                seeds[cell.seed] = self._state(job, seeds.get(cell.seed))
        for (model, arm, condition), seeds in rows.items():
            marks = Text(" ").join(Text(_MARKS[s], style=_STYLES.get(s, "dim")) for _, s in sorted(seeds.items()))
            table.add_row(model, arm, condition, marks)
        now = time.monotonic()
        running = [
            f"{self._jobs[name].kind} {self._jobs[name].title} ({now - since:.0f} s)"
            for name, since in list(self._running.items())
        ]
        done = f"{len(self._finished)} of {len(self._jobs)} jobs done{self._left(', about {} left')}"
        legend = "· waits  ▸ runs  ◐ trained  ● evaluated  ✗ failed"
        return Group(
            table, Text(legend, style="dim"), *(Text(neutral(line)) for line in running), Text(done, style="bold")
        )

    def _state(self, job: Job, before: str | None) -> str:
        """Of training, then of the evaluation that follows it."""
        finished = self._finished.get(job.id)
        if finished is not None:
            return "trained" if job.kind == "train" and finished.state in ("done", "kept") else finished.state
        return "runs" if job.id in self._running else before or "waits"
