"""Public benchmarks from local files, in the form in which they were published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from lope_common.errors import suggest
from lope_train.evaluation.tasks.local.gsm8k import read_gsm8k, read_gsm8k_train
from lope_train.evaluation.tasks.local.mmlu import read_mmlu, read_mmlu_dev
from lope_train.evaluation.tasks.local.multiple_choice import (
    read_arc_easy,
    read_arc_easy_train,
    read_piqa,
    read_social_iqa,
    read_social_iqa_train,
)
from lope_train.evaluation.tasks.local.reading import Row, TaskError

__all__ = ["GROUPS", "Row", "TaskError", "load_shots", "load_task", "members", "template"]

_Reader = Callable[[Path, str], list[Row]]


@dataclass(frozen=True)
class _Task:
    """How a task is read."""

    folder: str
    """Its folder in --data-dir."""
    template: str
    """The task file in `lope_train/evaluation/tasks/yaml`, without .yaml."""
    read: _Reader
    """The rows to evaluate, from the folder and the task's name."""
    read_shots: _Reader | None = None
    """The rows that few-shot prompts show."""


_TASKS = {
    "arc_easy": _Task("arc_easy", "arc_easy", read_arc_easy),
    "arc_easy_train": _Task("arc_easy", "arc_easy", read_arc_easy_train),
    "gsm8k": _Task("gsm8k", "gsm8k", read_gsm8k, read_gsm8k_train),
    "piqa": _Task("piqa", "piqa", read_piqa),
    "social_iqa": _Task("siqa", "social_iqa", read_social_iqa),
    "social_iqa_train": _Task("siqa", "social_iqa", read_social_iqa_train),
}
_MMLU = _Task("mmlu", "mmlu_subject", read_mmlu, read_mmlu_dev)
GROUPS = ("mmlu", "mmlu_history", "mmlu_nset", "mmlu_sbh")

_PUBLISHED = {
    "arc_easy": "https://github.com/AGI-Edgerunners/LLM-Adapters (dataset/ARC-Easy)",
    "gsm8k": "https://github.com/openai/grade-school-math (grade_school_math/data)",
    "mmlu": "https://people.eecs.berkeley.edu/~hendrycks/data.tar",
    "piqa": "https://yonatanbisk.com/piqa/data",
    "siqa": "https://storage.googleapis.com/ai2-mosaic/public/socialiqa/socialiqa-train-dev.zip",
}
"""Where each folder's files are published."""


@cache
def task_file(name: str) -> dict[str, Any]:
    """What `lope_train/evaluation/tasks/yaml/NAME.yaml` holds."""
    text = (files("lope_train.evaluation.tasks") / "yaml" / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


def members(name: str) -> list[str]:
    """The tasks of a group, or the task itself. Raises TaskError where there is no such task."""
    if name in GROUPS:
        return list(task_file(name)["task"])
    if name in _TASKS or name in task_file("mmlu")["task"]:
        return [name]
    raise TaskError(f"no task {name!r}{_nearest(name)}")


def template(name: str) -> dict[str, Any]:
    """The task file of a task that `members` gave, without its documents; prompts and metrics are lm-eval's."""
    return {**task_file(_TASKS.get(name, _MMLU).template), "task": name}


def load_task(name: str, data_dir: Path) -> list[Row]:
    """The rows of a task or group in file order.

    `lope_row_id`, `lope_shape`, and `question`, `choices`, `answer`, or for gsm8k `instruction`, `input`, `output`.
    Raises TaskError that names the file and the line (or row, in a JSON array).
    """
    return [row for member in members(name) for row in _read(member, data_dir, _TASKS.get(member, _MMLU).read)]


def load_shots(name: str, data_dir: Path) -> list[Row]:
    """As `load_task`, the rows that prompts of one task show; none where it shows none, so their file is not needed."""
    reader = _TASKS.get(name, _MMLU).read_shots
    return _read(name, data_dir, reader) if reader and template(name).get("num_fewshot") else []


def _read(name: str, data_dir: Path, reader: _Reader) -> list[Row]:
    if not data_dir.is_dir():
        raise TaskError(f"no folder {data_dir}: --data-dir names the one that holds {_TASKS.get(name, _MMLU).folder}/")
    folder = data_dir / _TASKS.get(name, _MMLU).folder
    try:
        rows = reader(folder, name)
    except FileNotFoundError as error:
        raise TaskError(f"{error.filename}: no such file; {name} is at {_PUBLISHED[folder.name]}") from None
    if not rows:
        raise TaskError(f"{folder}: no rows of {name}")
    return rows


def _nearest(name: str) -> str:
    hint = suggest(name, [*_TASKS, *task_file("mmlu")["task"], *GROUPS])
    if "did you mean" in hint:
        return hint
    return f"{suggest(name, [*_TASKS, *GROUPS]).partition('; did')[0]}, and each subject of MMLU as mmlu_SUBJECT"
