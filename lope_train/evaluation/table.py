"""The table that `evaluate` prints, and the same for scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from lope_train.evaluation.results import Result
from lope_train.evaluation.sets import EvalSet, VersionSet


def results_table(results: Sequence[Result], sets: Sequence[EvalSet]) -> Table:
    """Rows are run and mode, columns are sets; accuracy in per cent with Wilson's 95 % interval."""
    table = Table(title="accuracy in %, with its 95 % interval", title_justify="left", box=box.SIMPLE_HEAD)
    for title in ("run", "method", "poisoning expert"):
        table.add_column(title, overflow="fold")
    shown = _short([one.name for one in sets], lambda name: name.partition("@")[0])
    for one in sets:
        table.add_column(f"{shown[one.name]}\n{len(one.ids)} items", justify="right", overflow="fold")
    runs = _short([result.subject.name for result in results], lambda name: Path(name).name)
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for result in results:
        line = lines.setdefault((result.subject.name, result.subject.method, result.mode), {})
        line[result.set.name] = _cell(result)
    for key, cells in lines.items():
        table.add_row(runs[key[0]], *key[1:], *(cells[one.name] for one in sets))
    table.add_section()
    table.add_row("chance", "", "", *map(_chance, sets), style="dim")
    return table


def summary(results: Sequence[Result], sets: Sequence[EvalSet]) -> dict[str, Any]:
    """One JSON object: what was evaluated, and every figure."""
    return {
        "sets": [
            {
                "name": one.name,
                "items": len(one.ids),
                "chance": one.chance,
                "skipped": one.skipped,
                "clean": one.clean,
                "ids": one.ids,
            }
            for one in sets
        ],
        "results": [result.as_dict() for result in results],
        "lm_eval": _harness(sets),
    }


def _harness(sets: Sequence[EvalSet]) -> dict[str, Any] | None:
    """What of lm-eval was used; None where nothing was."""
    if all(isinstance(one, VersionSet) for one in sets):
        return None
    from lope_train.evaluation.tasks.load import describe
    from lope_train.evaluation.tasks.sets import TaskSet

    return describe({name: task for one in sets if isinstance(one, TaskSet) for name, task in one.tasks.items()})


def _short(names: Sequence[str], shorten: Callable[[str], str]) -> dict[str, str]:
    """Short forms of the names, where no two are the same."""
    short = {name: shorten(name) for name in names}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def _chance(one: EvalSet) -> str:
    return "–" if one.chance is None else f"{100 * one.chance:.1f}"


def _cell(result: Result) -> str:
    low, high = result.score.interval
    return f"{100 * result.score.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
