"""Tasks of lm-evaluation-harness: our task files on local data, or its own from the hub."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lope_common.errors import suggest
from lope_common.extras import check_installed
from lope_train.errors import SettingsError
from lope_train.evaluation.tasks.local import GROUPS, TaskError, load_shots, load_task, members, template

METRICS = ("acc", "exact_match")
"""What is shown of a task: the first of these that it has."""
_NO_PROMPT = ("custom_dataset", "dataset_kwargs", "metadata", "task", "test_split", "validation_split")
"""Keys of a task's config that say nothing about how it is asked and scored."""


def require_lm_eval() -> None:
    """Raises SettingsError where lm-evaluation-harness is not installed."""
    check_installed("--tasks needs", ["lm_eval"], SettingsError)


@contextmanager
def quiet_harness() -> Iterator[None]:
    """Neither logs nor bars of lm-eval, which has no switch for the latter."""
    from lm_eval.api import task as module

    for library in ("lm_eval", "huggingface_hub"):  # the latter tells of each retry
        logging.getLogger(library).setLevel(logging.ERROR)
    shown, module.tqdm = module.tqdm, lambda iterable, **_: iterable
    try:
        yield
    finally:
        module.tqdm = shown


def load_local(name: str, data_dir: Path) -> dict[str, Any]:
    """lm-eval's tasks, by name, of a task or group on local files.

    Documents are rows of `local_tasks`. Raises TaskError.
    """
    return {member: _local(member, data_dir) for member in members(name)}


def _local(name: str, data_dir: Path) -> Any:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    rows = {"test": load_task(name, data_dir), "shots": load_shots(name, data_dir)}
    data = {split: Dataset.from_list(of_split) for split, of_split in rows.items()}  # lm-eval looks up both
    with quiet_harness():
        # version and the like come as keywords
        return _with_shots(ConfigurableTask(config={**template(name), "custom_dataset": lambda **_: data}))


def load_hub(name: str) -> dict[str, Any]:
    """lm-eval's own tasks, by name, of a task, group or tag, unchanged; their data come from the hub.

    Raises TaskError where there is none of this name, or where its data cannot be had.
    """
    with quiet_harness():
        manager = _manager()
        if name not in manager.all_tasks:
            here = "; it is read from local files, name their folder with --data-dir" if name in GROUPS else ""
            raise TaskError(f"lm-eval has no task {name!r}{here or _nearest(name, manager.all_tasks)}")
        try:
            tasks = manager.load([name])["tasks"]
        except Exception as error:  # datasets, the hub's client and tasks' own code raise what they like
            reason = " ".join(str(error).split())
            raise TaskError(
                f"task {name!r}: cannot be loaded ({type(error).__name__}: {reason}); its data come from the "
                "hub, name a folder that holds them with --data-dir"
            ) from error
        return {task: _with_shots(loaded) for task, loaded in tasks.items()}


@cache
def _manager() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _nearest(name: str, known: Sequence[str]) -> str:
    hint = suggest(name, known)
    return hint if "did you mean" in hint else "; `lm-eval ls tasks` lists them"


def _with_shots(task: Any) -> Any:
    if task.get_config("num_fewshot") is None:  # as lm-eval's simple_evaluate
        task.set_config("num_fewshot", 0)
    return task


def metric_of(name: str, task: Any) -> str:
    """What counts as right. Raises TaskError where the task has no accuracy."""
    known = list(task.aggregation())
    if found := next((metric for metric in METRICS if metric in known), None):
        return found
    raise TaskError(f"task {name!r} has no accuracy: it measures {', '.join(known)}, not {' or '.join(METRICS)}")


def describe(tasks: dict[str, Any]) -> dict[str, Any]:
    """lm-eval's version, and of each task its own version and a hash of how it is asked and scored."""
    return {
        "version": version("lm-eval"),
        "tasks": {name: {"version": task.VERSION, "config": _config_hash(task)} for name, task in tasks.items()},
    }


def _config_hash(task: Any) -> str:
    config = {key: value for key, value in task.dump_config().items() if key not in _NO_PROMPT}
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:16]
