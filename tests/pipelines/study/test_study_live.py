"""What a running study shows: a live table on a terminal, lines elsewhere, and a time left that follows from both."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from pipelines.study.cells import Cell
from pipelines.study.jobs import Job
from pipelines.study.live import Progress
from pipelines.study.schedule import Finished, State


def job(kind: str, seed: int, cost: float = 1.0) -> Job:
    cell = Cell("tiny", "lope", "nois", seed)
    return Job(f"{kind} {seed}", kind, f"lope nois {seed}", (), lambda _: [], cost, cell)  # type: ignore[arg-type]


def ended(job: Job, state: State, seconds: float = 0.0, reason: str = "") -> Finished:
    return Finished(job, state, "", {}, seconds, reason)


def shown(progress: Progress) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(progress._view())
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


JOBS = [job(kind, seed) for seed in (614, 615, 616) for kind in ("train", "evaluate")]


def test_the_table_has_a_mark_for_each_seed() -> None:
    progress = Progress(JOBS, 2, Console(file=StringIO(), force_terminal=True))
    by_id = {one.id: one for one in JOBS}
    progress.started(by_id["train 614"])
    assert "▸ · ·" in shown(progress)
    progress.finished(ended(by_id["train 614"], "done", 10))
    progress.started(by_id["train 615"])
    assert "◐ ▸ ·" in shown(progress)
    progress.finished(ended(by_id["evaluate 614"], "done", 4))
    progress.finished(ended(by_id["train 615"], "failed", reason="no luck"))
    progress.finished(ended(by_id["evaluate 615"], "not run"))
    text = shown(progress)
    assert "● ✗ ·" in text
    assert "4 of 6 jobs done" in text


def test_the_time_left_is_what_is_left_at_the_pace_so_far() -> None:
    progress = Progress(JOBS, 2, Console(file=StringIO()))
    assert progress.seconds_left() is None
    progress.finished(ended(JOBS[0], "done", 10))
    assert progress.seconds_left() is None  # nothing is known of evaluations
    progress.finished(ended(JOBS[1], "kept", 4))
    assert progress.seconds_left() == pytest.approx((2 * 10 + 2 * 4) / 2)


def test_a_job_that_costs_twice_as_much_takes_twice_as_long() -> None:
    jobs = [job("train", 1), job("train", 2, cost=2.0)]
    progress = Progress(jobs, 1, Console(file=StringIO()))
    progress.finished(ended(jobs[0], "done", 10))
    assert progress.seconds_left() == pytest.approx(20)


def test_without_a_terminal_each_job_is_a_line_and_a_failure_says_why() -> None:
    console = Console(file=StringIO(), width=200)
    progress = Progress(JOBS[:2], 1, console)
    progress.finished(ended(JOBS[0], "done", 12.3))
    progress.finished(ended(JOBS[1], "failed", reason="out of [memory]"))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "1/2  train lope nois 614  12 s",
        "2/2  evaluate lope nois 614  failed: out of [memory]",
    ]
