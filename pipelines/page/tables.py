"""The page's tables of accuracy: ours by row and task, the paper's figures beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lope_train.tuner import NO_EXPERT
from pipelines.results.findings import Accuracy, Findings, Floor, Key, first_mode
from pipelines.results.labels import UNTRAINED, arm_label, ordered_tasks, task_label, wanted_seeds
from pipelines.study.outcome import BASE, Outcome

FAILED, ABSENT = "failed", "no result"


@dataclass(frozen=True)
class Cell:
    """An accuracy, or in `why` the reason that there is none. `seeds` says how many are missing, if any are."""

    accuracy: Accuracy | None
    why: str = ""
    seeds: str = ""


@dataclass(frozen=True)
class Row:
    """One arm on one condition in one mode; `mode` is empty where there is but one, `first` its first row."""

    label: str
    first: bool
    mode: str
    cells: list[Cell]
    papers: list[list[float | None]]
    """Per cent, by paper model and column."""


@dataclass(frozen=True)
class Column:
    task: str
    label: str
    floor: Floor
    chance: float | None
    questions: int | None


@dataclass(frozen=True)
class Table:
    """Accuracies of one model at one noise ratio, rows by condition; its own row first."""

    model: str
    noise: float
    columns: list[Column]
    papers: list[tuple[str, list[str]]]
    """Models of the paper, each with its columns."""
    groups: list[tuple[str, list[Row]]]


def accuracy_tables(outcome: Outcome, findings: Findings) -> list[Table]:
    """One for each model and each ratio of noise in the questions, those of clean questions first."""
    noises = sorted({0.0, *outcome.study.evaluation.noise, *(key.noise for key in findings.accuracies)})
    return [_table(outcome, findings, model, noise) for noise in noises for model in outcome.models]


def _table(outcome: Outcome, findings: Findings, model: str, noise: float) -> Table:
    study = outcome.study
    found = [one for one in findings.accuracies.values() if (one.key.model, one.key.noise) == (model, noise)]
    tasks = ordered_tasks(study, (one.key.task for one in found))
    papers = _papers(outcome, tasks) if noise == 0 else []
    base = Key(model, BASE, BASE, NO_EXPERT, "", noise)
    groups = []
    planned = any(step.kind == "evaluate" and step.title in _steps_of(outcome, base) for step in outcome.steps)
    if planned or any(one.key.arm == BASE for one in found):  # with a head it has no answers
        groups.append(("", [_row(outcome, findings, base, UNTRAINED, "", tasks, papers)]))
    for condition in study.conditions:
        rows = []
        for arm in (arm for arm, on in study.cells() if on.id == condition.id):
            first = first_mode(study, arm.id)
            here = (model, arm.id, condition.id)
            seen = dict.fromkeys(
                one.key.mode for one in found if (one.key.model, one.key.arm, one.key.condition) == here
            )
            modes = list({first: None} | seen)
            for mode in modes:
                key = Key(model, arm.id, condition.id, mode, "", noise)
                said = mode if len(modes) > 1 else ""
                rows.append(_row(outcome, findings, key, arm_label(study, arm.id), said, tasks, papers))
        groups.append((condition.label, rows))
    columns = [_column(outcome, findings, model, task, found) for task in tasks]
    return Table(model, noise, columns, papers, groups)


def _column(outcome: Outcome, findings: Findings, model: str, task: str, found: Iterable[Accuracy]) -> Column:
    some = next((one for one in found if one.key.task == task), None)
    return Column(
        task,
        task_label(outcome.study, task),
        findings.floors.get((model, task), "floor unknown"),
        some.chance if some else None,
        some.questions if some else None,
    )


def _papers(outcome: Outcome, tasks: list[str]) -> list[tuple[str, list[str]]]:
    """The paper's columns: of the tasks that are ours in their order, then of others."""
    models = dict.fromkeys(figure.model for figure in outcome.study.paper)
    papers = []
    for model in models:
        given = {task for figure in outcome.study.paper if figure.model == model for task in figure.values}
        rest = [task for figure in outcome.study.paper for task in figure.values if task not in tasks]
        papers.append((model, [task for task in dict.fromkeys([*tasks, *rest]) if task in given]))
    return papers


def _row(
    outcome: Outcome,
    findings: Findings,
    key: Key,
    label: str,
    mode: str,
    tasks: list[str],
    papers: list[tuple[str, list[str]]],
) -> Row:
    cells = [_cell(outcome, findings, replace(key, task=task)) for task in tasks]
    figures = [[_figure(outcome, key, model, task) for task in columns] for model, columns in papers]
    return Row(
        label,
        first_mode(outcome.study, key.arm) == key.mode,
        mode,
        cells,
        figures,
    )


def _cell(outcome: Outcome, findings: Findings, key: Key) -> Cell:
    one = findings.accuracies.get(key)
    if one is None:
        failed = {step.title for step in outcome.failed if step.kind in ("train", "evaluate")}
        return Cell(None, FAILED if failed & _steps_of(outcome, key) else ABSENT)
    wanted = 1 if key.arm == BASE else len(wanted_seeds(outcome))
    return Cell(one, seeds=f"{len(one.by_seed)} of {wanted} seeds" if len(one.by_seed) < wanted else "")


def _steps_of(outcome: Outcome, key: Key) -> set[str]:
    """The titles of the steps that train and evaluate the cell."""
    if key.arm == BASE:
        return {key.model}
    return {f"{key.model} {key.arm} {key.condition} {seed}" for seed in wanted_seeds(outcome)}


def _figure(outcome: Outcome, key: Key, model: str, task: str) -> float | None:
    """The paper's figure; one without a mode is of the mode that comparisons use."""
    first = first_mode(outcome.study, key.arm)
    place = (key.arm, key.condition, model, key.mode)
    return next(
        (
            figure.values[task]
            for figure in outcome.study.paper
            if (figure.arm, figure.condition, figure.model, figure.mode or first) == place and task in figure.values
        ),
        None,
    )
