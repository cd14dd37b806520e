"""What a study's parts are called where people read of them, and in which order they stand."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.results.findings import MEAN, Key, first_mode
from pipelines.study.outcome import BASE, Outcome
from pipelines.study.recipe import FIRST_SEED, Arm, Condition, Study

UNTRAINED = "untrained model"


def arm_of(study: Study, name: str) -> Arm | None:
    return next((arm for arm in study.arms if arm.id == name), None)


def condition_of(study: Study, name: str) -> Condition | None:
    return next((condition for condition in study.conditions if condition.id == name), None)


def arm_label(study: Study, name: str) -> str:
    arm = arm_of(study, name)
    return UNTRAINED if name == BASE else arm.label if arm else name


def condition_label(study: Study, name: str) -> str:
    condition = condition_of(study, name)
    return condition.label if condition else name


def is_first(study: Study, key: Key) -> bool:
    """Whether the mode is the one that comparisons use."""
    return key.mode == first_mode(study, key.arm)


def ordered_tasks(study: Study, seen: Iterable[str]) -> list[str]:
    """The study's tasks, then what else was asked, the mean last."""
    tasks = list(dict.fromkeys([*study.evaluation.tasks, *seen]))
    return sorted(tasks, key=MEAN.__eq__)


def wanted_seeds(outcome: Outcome) -> list[int]:
    return [FIRST_SEED + i for i in range(outcome.scale.seeds)]


def task_label(study: Study, task: str) -> str:
    """A mean says of what."""
    return f"mean of {len(study.evaluation.tasks)} tasks" if task == MEAN else task


def points(share: float) -> str:
    """A difference in points of accuracy, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
