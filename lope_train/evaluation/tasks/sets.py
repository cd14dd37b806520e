"""Tasks as sets to evaluate on: which of their items, and the same items with noise in the questions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lope_train.data.versions import Version, resolve
from lope_train.errors import SettingsError, VersionError
from lope_train.evaluation.sets import EvalSet, chance, pick
from lope_train.evaluation.tasks.load import load_hub, load_local, metric_of, require_lm_eval
from lope_train.evaluation.tasks.local import TaskError

_KEPT = ("choices", "answer", "output")
"""What noise in the text leaves as it is."""


@dataclass(frozen=True, kw_only=True)
class TaskSet(EvalSet):
    """Items of a task, group or tag of lm-eval. The id of document i of a task is `TASK-i`."""

    tasks: dict[str, Any]
    """lm-eval's tasks, by name; those without an item are left out."""
    samples: dict[str, list[int]]
    """Of each task the documents that are its items, ascending."""
    sizes: dict[str, int]
    """How many documents each task has, also those without an item."""


def build_task_sets(
    names: Sequence[str],
    noise: Sequence[str],
    data_dir: Path | None,
    store: Path | None,
    limit: int | None,
    alone: bool,
) -> tuple[list[TaskSet], list[str]]:
    """The sets of the tasks, each with the noisy ones of its items after it; and the `noise` that is of no task.

    Noise goes to the task that it has most items of, the smaller one of equals. `alone` refuses noise that is of no
    task. Raises TaskError, SettingsError, VersionError.
    """
    require_lm_eval()
    clean = [_task_set(name, data_dir, limit) for name in names]
    sets: dict[str, list[TaskSet]] = {one.name: [one] for one in clean}
    rest = []
    for ref in noise:
        version = resolve(ref, store)
        rows = {row["lope_row_id"]: row for row in version.views()}
        shared = {one.name: sum(_is_item(row_id, one) for row_id in rows) for one in clean}
        best = max(clean, key=lambda one: (shared[one.name], -sum(one.sizes.values())))
        if shared[best.name] and data_dir is not None:
            name = version.ref if ref in sets else ref
            sets[best.name].append(_noisy(best, version, rows, name))
        elif alone:
            raise _of_no_task(version, rows, names, data_dir)
        else:
            rest.append(ref)
    return [one for several in sets.values() for one in several], rest


def _task_set(name: str, data_dir: Path | None, limit: int | None) -> TaskSet:
    tasks = load_hub(name) if data_dir is None else load_local(name, data_dir)
    for task_name, task in tasks.items():
        metric_of(task_name, task)
    documents = {task_name: task.eval_docs for task_name, task in tasks.items()}
    every = [(task_name, index) for task_name, docs in documents.items() for index in range(len(docs))]
    if not every:
        raise TaskError(f"task {name!r} has no documents")
    picked = [every[i] for i in pick([_id(*item) for item in every], limit)]
    samples: dict[str, list[int]] = {}
    for task_name, index in picked:
        samples.setdefault(task_name, []).append(index)
    blind = None
    if all(task.OUTPUT_TYPE == "multiple_choice" for task in tasks.values()):
        blind = chance([tasks[task_name].doc_to_choice(documents[task_name][index]) for task_name, index in picked])
    return TaskSet(
        name=name,
        ids=[_id(*item) for item in picked],
        chance=blind,
        tasks={task_name: tasks[task_name] for task_name in samples},
        samples=samples,
        sizes={task_name: len(docs) for task_name, docs in documents.items()},
    )


def _id(task_name: str, index: int) -> str:
    return f"{task_name}-{index}"


def _is_item(row_id: str, one: TaskSet) -> bool:
    return row_id.rpartition("-")[0] in one.sizes


def _noisy(clean: TaskSet, version: Version, rows: dict[str, Any], name: str) -> TaskSet:
    """The same items with the questions that the version has."""
    from datasets import Dataset

    if missing := [row_id for row_id in clean.ids if row_id not in rows]:
        raise VersionError(
            f"{version.ref}: {len(missing)} of the {len(clean.ids)} items of {clean.name} are not in it (first "
            f"{missing[0]!r}); build it on all that `python -m lope_train items {clean.name}` writes"
        )
    tasks = {}
    for task_name, indices in clean.samples.items():
        task = clean.tasks[task_name]
        documents = list(task.dataset["test"])
        for index in indices:
            row_id = _id(task_name, index)
            documents[index] = _with_noise(documents[index], rows[row_id], f"{version.ref}: row {row_id!r}")
        tasks[task_name] = copy.copy(task)
        tasks[task_name].dataset = {**task.dataset, "test": Dataset.from_list(documents)}
    return replace(clean, name=name, clean=clean.name, tasks=tasks)


def _with_noise(document: dict[str, Any], row: dict[str, Any], where: str) -> dict[str, Any]:
    for column in _KEPT:
        if column in document and row.get(column) != document[column]:
            raise VersionError(
                f"{where} has another {column!r} than the task; evaluation needs text noise alone, "
                "build it with `--mix char=1,word=1`"
            )
    asked = "question" if "question" in document else "instruction"
    if not str(row.get(asked) or "").strip():
        raise VersionError(f"{where} has no text in {asked!r}")
    return {**document, asked: row[asked]}


def _of_no_task(
    version: Version, rows: dict[str, Any], names: Sequence[str], data_dir: Path | None
) -> SettingsError | VersionError:
    if data_dir is None:
        return SettingsError("noise on a task's questions needs its local files: name their folder with --data-dir")
    return VersionError(
        f"{version.ref} holds no item of {', '.join(names)} (its first row is {next(iter(rows), None)!r}); "
        f"`python -m lope_train items {names[0]}` writes those that noise can be built on"
    )
