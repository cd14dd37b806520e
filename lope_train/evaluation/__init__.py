"""Accuracy of runs and base models, on versions in the prompts of training and on tasks of lm-eval.

A task of local files is a YAML file in `tasks/yaml/` and, where its data has a form of its own, a reader in
`tasks/local/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.evaluation.accuracy import Score, score
    from lope_train.evaluation.results import Result, evaluate
    from lope_train.evaluation.sets import build_sets
    from lope_train.evaluation.tasks.lm import LopeLM
    from lope_train.evaluation.tasks.load import quiet_harness
    from lope_train.evaluation.tasks.local import load_shots, load_task, members
    from lope_train.evaluation.tasks.run import evaluate_tasks
    from lope_train.evaluation.tasks.sets import build_task_sets

__all__ = [
    "LopeLM",
    "Result",
    "Score",
    "build_sets",
    "build_task_sets",
    "evaluate",
    "evaluate_tasks",
    "load_shots",
    "load_task",
    "members",
    "quiet_harness",
    "score",
]

__getattr__ = lazy(
    __name__,
    {
        "LopeLM": "tasks.lm",
        "Result": "results",
        "Score": "accuracy",
        "build_sets": "sets",
        "build_task_sets": "tasks.sets",
        "evaluate": "results",
        "evaluate_tasks": "tasks.run",
        "load_shots": "tasks.local",
        "load_task": "tasks.local",
        "members": "tasks.local",
        "quiet_harness": "tasks.load",
        "score": "accuracy",
    },
)
