"""The mean of answers over seeds and questions, both of which vary: standard errors, intervals, p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from lope_common.intervals import wilson

SEEDS_TO_TEST = 5
"""Fewer seeds cannot decide: they get an interval and no p-value."""
LEVEL = 0.05
FEW = 6
"""Of fewer questions that depart normal theory has too little to go by: half an interval has a least width. An exact
sign test of them would never reach 0.05 (2 / 2^5 is more); the interval can, which keeps the power that is stated."""

Interval = tuple[float, float]
Scores = NDArray[np.int8]
"""Seeds by questions: 0 or 1 of an arm, -1, 0 or 1 of a difference of two arms."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crossed:
    """The mean over tasks, seeds and questions of scores in which all three are crossed, and its variance.

    The scores of a task are m + seed + question + rest (Scheffe 1959, section 7.4): the questions are drawn from those
    that might be asked, the seeds from those that might be run, and the same seeds answer all tasks. With S seeds, Q_t
    questions in each of T tasks, and the mean squares MS of task t, the variance is estimated without bias by

        V = seeds + sum_t (questions_t - rest_t)
        seeds = the sample variance, over seeds, of a seed's mean over the tasks, / S
        questions_t = MS_questions / (S Q_t T^2)
        rest_t = MS_rest / (S Q_t T^2)

    and never taken to be less than `seeds` or the sum of `questions_t`, one of which it would be if the other's
    component were 0. For one task that is max(MS_seeds + MS_questions - MS_rest, MS_seeds, MS_questions) / (S Q). A
    seed's mean over the tasks holds what its seed does to all of them at once; questions are of one task each, so
    theirs add up. Degrees of freedom are Satterthwaite's (1946), V^2 over the sum of the squares of the parts, each by
    its own: S - 1, Q_t - 1 and (S - 1)(Q_t - 1).

    Where fewer than `FEW` questions depart from the score that the others have at every seed, normal theory has too
    little to go by, and where none does V is 0. Half an interval is then no less than what Clopper and Pearson (1934)
    leave possible when none of n questions departs, 1 - 0.05^(1/n), about 3 / n (Hanley and Lippman-Hand 1983), n being
    the questions of the smallest task, over T. This is about other questions; of other seeds these few say little.

    Every field may have leading dimensions, one study each; `questions`, `rest`, `shares`, `sizes` have tasks first.
    """

    mean: Floats
    means: Floats
    """Of each task."""
    seeds: Floats
    questions: Floats
    rest: Floats
    shares: Floats
    """Of each task, the share of scores that are not 0."""
    count: int
    """Of seeds."""
    sizes: Floats
    """Of each task, the number of questions."""
    uneven: Floats
    """Of all tasks, the number of questions that have not the score of most at every seed."""

    @cached_property
    def total(self) -> Floats:
        """The variance by the formula alone."""
        questions = self.questions.sum(axis=0)
        full = self.seeds + questions - self.rest.sum(axis=0)
        return np.asarray(np.maximum(np.maximum(full, self.seeds), questions))

    @cached_property
    def freedom(self) -> Floats:
        """Satterthwaite's degrees of freedom; those of the questions where the variance is 0."""
        seeds, each = self.count - 1, self.sizes - 1
        parts = self.seeds**2 / seeds + (self.questions**2 / each + self.rest**2 / (seeds * each)).sum(axis=0)
        varies = self.total > 0
        return np.where(varies, self.total**2 / np.where(varies, parts, 1.0), each.sum(axis=0))

    @cached_property
    def critical(self) -> Floats:
        """The two-sided critical value of Student's t."""
        return np.asarray(special.stdtrit(self.freedom, 1 - LEVEL / 2))

    @cached_property
    def error(self) -> Floats:
        """The standard error that intervals and p-values are made of."""
        least = stats.beta.ppf(1 - LEVEL, 1, self.sizes.min()) / len(self.sizes)
        bounded = (self.uneven < FEW) | (self.total == 0)
        return np.maximum(np.sqrt(self.total), np.where(bounded, least / self.critical, 0.0))

    @property
    def low(self) -> Floats:
        return self.mean - self.critical * self.error

    @property
    def high(self) -> Floats:
        return self.mean + self.critical * self.error

    @property
    def p(self) -> Floats:
        """Two-sided, of a mean of 0: below `LEVEL` exactly where the interval leaves 0 out."""
        return np.asarray(2 * special.stdtr(self.freedom, -np.abs(self.mean) / self.error))


def crossed(tasks: Sequence[Scores]) -> Crossed | None:
    """Of each task's scores, shape (..., S, Q_t) with the same seeds; None where they have one seed or one question."""
    seeds = tasks[0].shape[-2]
    sizes = [scores.shape[-1] for scores in tasks]
    if seeds < 2 or min(sizes) < 2:
        return None
    parts = [_parts(scores) for scores in tasks]
    rows = np.mean([part["rows"] for part in parts], axis=0)
    scale = len(tasks) ** 2
    return Crossed(
        mean=rows.mean(axis=-1),
        means=np.stack([part["rows"].mean(axis=-1) for part in parts]),
        seeds=rows.var(axis=-1, ddof=1) / seeds,
        questions=np.stack([part["questions"] for part in parts]) / scale,
        rest=np.stack([part["rest"] for part in parts]) / scale,
        shares=np.stack([part["share"] for part in parts]),
        count=seeds,
        sizes=np.asarray(sizes, float).reshape(-1, *[1] * (rows.ndim - 1)),
        uneven=np.sum([part["uneven"] for part in parts], axis=0),
    )


def _parts(scores: Scores) -> dict[str, Any]:
    """Of one task, by study: each seed's mean, mean squares / (S Q), and how many questions depart from the rest."""
    seeds, questions = scores.shape[-2:]
    rows = scores.sum(axis=-1, dtype=np.int64) / questions
    sums = scores.sum(axis=-2, dtype=np.int32)
    other = np.count_nonzero(scores, axis=-2)
    squares = other.sum(axis=-1)
    grand = sums.sum(axis=-1) ** 2 / (seeds * questions)
    within = squares - questions * (rows**2).sum(axis=-1) - (sums.astype(float) ** 2).sum(axis=-1) / seeds + grand
    same = [np.count_nonzero(whole, axis=-1) for whole in (other == 0, sums == seeds, sums == -seeds)]
    return {
        "rows": rows,
        "questions": (sums / seeds).var(axis=-1, ddof=1) / questions,
        "rest": np.maximum(within, 0.0) / ((seeds - 1) * (questions - 1) * seeds * questions),
        "share": squares / (seeds * questions),
        "uneven": questions - np.max(same, axis=0),
    }


def share_interval(tasks: Sequence[Scores]) -> Interval:
    """95 % interval of one arm's accuracy, the mean of tasks: the crossed one, cut at 0 and 1.

    Of a single run, and where all answers are alike, it is Wilson's, which is of the questions alone; those of several
    tasks are joined by their limits (Newcombe 1998, method 10; Zou and Donner 2008).
    """
    found = None if all((scores == tasks[0][0, 0]).all() for scores in tasks) else crossed(tasks)
    if found is not None:
        return max(float(found.low), 0.0), min(float(found.high), 1.0)
    right = [int(np.round(scores.mean(axis=0).sum())) for scores in tasks]
    shares = np.array([count / scores.shape[1] for count, scores in zip(right, tasks, strict=True)])
    ends = np.array([wilson(count, scores.shape[1]) for count, scores in zip(right, tasks, strict=True)])
    below, above = np.sqrt(((ends - shares[:, None]) ** 2).sum(axis=0)) / len(tasks)
    return max(float(shares.mean() - below), 0.0), min(float(shares.mean() + above), 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.minimum(np.maximum.accumulate(np.asarray(p_values, float)[order] * factors), 1.0)
    adjusted = np.empty(len(p_values))
    adjusted[order] = stepped
    return [float(p) for p in adjusted]
