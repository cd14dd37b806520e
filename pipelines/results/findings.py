"""What the answers of a study say: accuracies, paired differences, and which of these may be claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lope_common.intervals import wilson
from lope_train.tuner import NO_EXPERT
from pipelines.results.intervals import LEVEL, SEEDS_TO_TEST, Interval, Scores, crossed, holm, share_interval
from pipelines.results.power import smallest_detectable
from pipelines.study.outcome import BASE, Answers, Outcome
from pipelines.study.recipe import Study

MEAN = "mean"
"""The unweighted mean of the study's tasks, which stands as a task where the paper reports it."""
GENERATED_CHANCE = 0.02
"""Stands for the chance of generated answers, which have none: of an accuracy near 0 a lucky answer is no skill."""
Kind = Literal["arm", "mode", "noise"]
Floor = Literal["above floor", "at floor", "floor unknown"]


@dataclass(frozen=True)
class Key:
    """What was asked of whom, over all seeds. `noise` is the ratio in the questions."""

    model: str
    arm: str
    condition: str
    mode: str
    task: str
    noise: float


Pair = tuple[Kind, Key, Key]
"""A comparison to make: of what kind, of whom, and with whom."""


@dataclass(frozen=True)
class Accuracy:
    """Shares in 0..1. The mean is over seeds and questions, `deviation` over seeds, `interval` of `share_interval`."""

    key: Key
    mean: float
    interval: Interval
    deviation: float | None
    by_seed: dict[int | None, float]
    questions: int
    chance: float | None


@dataclass(frozen=True)
class Comparison:
    """`key` minus `other`, by the seeds and questions that both have; shares, so 0.01 is a point of accuracy.

    kind: what differs between the two: the arm (the other is the study's reference), the mode (the other is the same
    arm's first), or the noise in the questions (the other is clean).
    interval: of 95 %, over seeds and questions; None where either is but one.
    p: two-sided, by the same error; None where nothing can be decided: fewer than five seeds, or one question.
    detectable: what the test finds with power .8, two-sided and before Holm; None where there is no p.
    holm: the p-value corrected for all that the study tests; None at floor too.
    """

    kind: Kind
    key: Key
    other: Key
    by_seed: dict[int | None, float]
    questions: int
    interval: Interval | None
    p: float | None
    detectable: float | None
    floor: Floor
    holm: float | None = None

    @property
    def difference(self) -> float:
        return float(np.mean(list(self.by_seed.values())))

    @property
    def significant(self) -> bool:
        return self.holm is not None and self.holm < LEVEL

    @property
    def verdict(self) -> str:
        """What may be said, in words that claim no more."""
        if self.floor == "at floor":
            return "at floor"
        return f"{self._said}; floor unknown" if self.floor == "floor unknown" else self._said

    @property
    def _said(self) -> str:
        if self.p is None:
            return "cannot decide"
        if not self.significant:
            return "not significant"
        return "significant, higher" if self.difference > 0 else "significant, lower"


@dataclass(frozen=True)
class Findings:
    """All numbers of a study. `unpaired` are comparisons for which the two have no seed in common."""

    accuracies: dict[Key, Accuracy]
    comparisons: tuple[Comparison, ...]
    floors: dict[tuple[str, str], Floor]
    """By model and task."""
    unpaired: tuple[Pair, ...]

    def of(self, kind: Kind) -> list[Comparison]:
        return [one for one in self.comparisons if one.kind == kind]


_Seeds = dict[int | None, tuple[Answers, ...]]
"""Of each seed the answers to one task; of a mean those to each of its tasks."""


def analyse(outcome: Outcome) -> Findings:
    """Every accuracy and comparison that the answers allow."""
    by_key: dict[Key, _Seeds] = {}
    for one in outcome.answers:
        key = Key(one.model, one.arm, one.condition, one.mode, one.task, one.noise)
        if one.ids:
            by_key.setdefault(key, {})[one.seed] = (one,)
    by_key = {key: by_key[key] for key in sorted(by_key, key=_order(outcome))}
    if any(MEAN in figure.values for figure in outcome.study.paper) and len(outcome.study.evaluation.tasks) > 1:
        by_key |= _means(by_key, outcome.study.evaluation.tasks)
    accuracies = {key: _accuracy(key, seeds) for key, seeds in by_key.items()}
    floors = _floors(outcome.study, accuracies)
    compared, unpaired = [], []
    for kind, key, other in _pairs(outcome.study, by_key):
        found = _compare(kind, key, other, by_key, floors[key.model, key.task])
        if found is None:
            unpaired.append((kind, key, other))
        else:
            compared.append(found)
    return Findings(accuracies, tuple(_adjusted(compared)), floors, tuple(unpaired))


def _order(outcome: Outcome) -> Callable[[Key], tuple[int, ...]]:
    """The recipe's order; runs finish in any. The untrained model comes first, and tasks that it does not name last."""
    study = outcome.study
    lists: tuple[Sequence[str], ...] = (
        outcome.models,
        study.evaluation.tasks,
        [condition.id for condition in study.conditions],
        [arm.id for arm in study.arms],
    )
    places = [{name: i for i, name in enumerate(names)} for names in lists]

    def place(key: Key) -> tuple[int, ...]:
        model, task, condition, arm = places
        return (
            model.get(key.model, len(model)),
            task.get(key.task, len(task)),
            round(key.noise * 1e6),
            condition.get(key.condition, -1),
            arm.get(key.arm, -1),
        )

    return place


def first_mode(study: Study, arm: str) -> str:
    """The mode of an arm that comparisons use: the way in which its runs are used."""
    deployed = next((one.deployed for one in study.arms if one.id == arm), None)
    return NO_EXPERT if deployed is None else deployed.label


def is_test(study: Study, task: str) -> bool:
    """Whether it is the study's test set, whose labels training teaches."""
    return task not in (*study.evaluation.tasks, MEAN)


def _floors(study: Study, accuracies: Mapping[Key, Accuracy]) -> dict[tuple[str, str], Floor]:
    """At floor is a task where the base model's Wilson interval reaches down to chance: it may be guessing.

    The untrained model guesses on a test set by nature, so one is at floor where that holds of every arm instead. A
    mean is where one of its tasks is.
    """
    floors: dict[tuple[str, str], Floor] = {(key.model, key.task): "floor unknown" for key in accuracies}
    for key, one in accuracies.items():
        if key.noise or key.task == MEAN or (key.arm == BASE) == is_test(study, key.task):
            continue
        low, _ = wilson(round(one.mean * one.questions), one.questions)
        if low > (GENERATED_CHANCE if one.chance is None else one.chance):
            floors[key.model, key.task] = "above floor"
        elif floors[key.model, key.task] == "floor unknown":
            floors[key.model, key.task] = "at floor"
    for model in [model for model, task in floors if task == MEAN]:
        averaged = [floors[model, task] for task in study.evaluation.tasks]
        floors[model, MEAN] = next(one for one in ("at floor", "floor unknown", "above floor") if one in averaged)
    return floors


def _means(by_key: Mapping[Key, _Seeds], tasks: Sequence[str]) -> dict[Key, _Seeds]:
    """What answered all tasks, by the seeds that did."""
    means: dict[Key, _Seeds] = {}
    for first in (key for key in by_key if key.task == tasks[0]):
        each = [by_key.get(replace(first, task=task), {}) for task in tasks]
        if seeds := [seed for seed in each[0] if all(seed in one for one in each)]:
            means[replace(first, task=MEAN)] = {seed: tuple(one[seed][0] for one in each) for seed in seeds}
    return means


def _pairs(study: Study, by_key: Mapping[Key, _Seeds]) -> Iterable[Pair]:
    """What is compared with what."""
    references = {condition.id for arm, condition in study.cells() if arm.id == study.reference}
    for key in by_key:
        if key.arm == BASE:
            continue
        first = first_mode(study, key.arm)
        if key.mode != first:
            yield "mode", key, replace(key, mode=first)
            continue
        if key.noise:
            yield "noise", key, replace(key, noise=0.0)
        if key.arm != study.reference and key.condition in references:
            yield "arm", key, replace(key, arm=study.reference, mode=first_mode(study, study.reference))


def _accuracy(key: Key, seeds: _Seeds) -> Accuracy:
    scores = [_matrix(answers) for answers in zip(*seeds.values(), strict=True)]
    assert all(one.size for one in scores), "the runs of a study answer the same questions"
    by_seed = _by_seed(seeds, scores)
    chances = [one.chance for one in next(iter(seeds.values())) if one.chance is not None]
    return Accuracy(
        key=key,
        mean=float(np.mean([*by_seed.values()])),
        interval=share_interval(scores),
        deviation=float(np.std([*by_seed.values()], ddof=1)) if len(by_seed) > 1 else None,
        by_seed=by_seed,
        questions=sum(one.shape[1] for one in scores),
        chance=float(np.mean(chances)) if len(chances) == len(scores) else None,
    )


def _compare(kind: Kind, key: Key, other: Key, by_key: Mapping[Key, _Seeds], floor: Floor) -> Comparison | None:
    ours, theirs = by_key.get(key, {}), by_key.get(other, {})
    both = [seed for seed in ours if seed in theirs]
    rows = [*(ours[seed] for seed in both), *(theirs[seed] for seed in both)]
    scores = [_matrix(answers) for answers in zip(*rows, strict=True)]
    if not scores or not all(one.size for one in scores):
        return None
    differences = [one[: len(both)] - one[len(both) :] for one in scores]
    made = crossed(differences)
    tested = made if len(both) >= SEEDS_TO_TEST else None
    return Comparison(
        kind=kind,
        key=key,
        other=other,
        by_seed=_by_seed(both, differences),
        questions=sum(one.shape[1] for one in differences),
        interval=(max(float(made.low), -1.0), min(float(made.high), 1.0)) if made else None,
        p=float(tested.p) if tested else None,
        detectable=float(smallest_detectable(tested)) if tested else None,
        floor=floor,
    )


def _by_seed(seeds: Iterable[int | None], scores: Sequence[Scores]) -> dict[int | None, float]:
    """The mean over tasks of each seed's share; of equal counts it is equal to the last bit."""
    return {
        seed: sum(int(one[row].sum()) / one.shape[1] for one in scores) / len(scores) for row, seed in enumerate(seeds)
    }


def _matrix(answers: Sequence[Answers]) -> Scores:
    """One row each of the questions that all have, in the same order."""
    ids = answers[0].ids
    if any(one.ids != ids for one in answers):
        shared = set(ids).intersection(*(one.ids for one in answers))
        ids = tuple(name for name in ids if name in shared)
        rows = [dict(zip(one.ids, one.right, strict=True)) for one in answers]
        return np.array([[row[name] for name in ids] for row in rows], np.int8)
    return np.array([one.right for one in answers], np.int8)


def _adjusted(compared: list[Comparison]) -> list[Comparison]:
    """With Holm's p-values: all that the study tests is one family, and what is at floor is not in it."""
    tested = {i: one.p for i, one in enumerate(compared) if one.p is not None and one.floor != "at floor"}
    adjusted = list(compared)
    for place, p in zip(tested, holm([*tested.values()]), strict=True):
        adjusted[place] = replace(compared[place], holm=p)
    return adjusted
