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
    """Rows are run and mode, columns are sets; accuracy in per cent with Wilson's 95 % interval.

    Beside a set of classification rows stands macro-F1 in per cent.
    """
    classified = {result.set.name for result in results if result.score.macro_f1 is not None}
    title = "accuracy in %, with its 95 % interval" + ("; macro-F1 in %" if classified else "")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for title in ("run", "method", "poisoning expert"):
        table.add_column(title, overflow="fold")
    shown = _short([one.name for one in sets], lambda name: name.partition("@")[0])
    for one in sets:
        table.add_column(f"{shown[one.name]}\n{len(one.ids)} items", justify="right", overflow="fold")
        if one.name in classified:
            table.add_column("macro\nF1", justify="right")
    runs = _short([result.subject.name for result in results], lambda name: Path(name).name)
    lines: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for result in results:
        line = lines.setdefault((result.subject.name, result.subject.method, result.mode), {})
        line[result.set.name] = _cells(result)
    for key, cells in lines.items():
        table.add_row(runs[key[0]], *key[1:], *(cell for one in sets for cell in cells[one.name]))
    table.add_section()
    chances = [cell for one in sets for cell in (_chance(one), *[""] * (one.name in classified))]
    table.add_row("chance", "", "", *chances, style="dim")
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


def _cells(result: Result) -> list[str]:
    score = result.score
    low, high = score.interval
    accuracy = f"{100 * score.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return [accuracy] if score.macro_f1 is None else [accuracy, f"{100 * score.macro_f1:.1f}"]
