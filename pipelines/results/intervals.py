"""Intervals and p-values of paired answers: over questions by the bootstrap, over seeds by Student's t."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 10_000
SEEDS_TO_TEST = 5
"""Fewer seeds get an interval and no p-value."""
LEVEL = 0.05
_BOOTSTRAP_SEED = 614

Interval = tuple[float, float]
Scores = NDArray[np.int8]
"""Seeds by questions: 0 or 1 of an arm, -1, 0 or 1 of a difference of two arms."""


def question_interval(tasks: Sequence[Scores]) -> Interval:
    """95 % percentile interval of the mean over tasks, each task's questions resampled and the seeds kept as they are.

    All seeds see the same resample, so questions count by their sum over the seeds, of which there are few: drawing how
    often each sum comes is the same as drawing the questions, at a fraction of the cost.
    """
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    means = np.zeros(RESAMPLES)
    for scores in tasks:
        seeds, questions = scores.shape
        sums, counts = np.unique(scores.sum(axis=0, dtype=np.int64), return_counts=True)
        drawn = rng.multinomial(questions, counts / questions, size=RESAMPLES)
        means += drawn @ sums / (seeds * questions * len(tasks))
    low, high = np.quantile(means, (LEVEL / 2, 1 - LEVEL / 2))
    return float(low), float(high)


def seed_interval(differences: Sequence[float]) -> Interval | None:
    """95 % t-interval of the mean of paired differences, one a seed; None where they are one, or do not vary.

    Those that are all 0 have the interval from 0 to 0.
    """
    if not any(differences):
        return (0.0, 0.0) if len(differences) > 1 else None
    if len(set(differences)) == 1:
        return None
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(1 - LEVEL)
    return float(interval.low), float(interval.high)


def seed_p_value(differences: Sequence[float]) -> float | None:
    """Two-sided p of the paired t-test, given its differences; None below five seeds, or where they do not vary.

    Those that are all 0 have 1.
    """
    if len(differences) < SEEDS_TO_TEST:
        return None
    if not any(differences):
        return 1.0
    return None if len(set(differences)) == 1 else float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.minimum(np.maximum.accumulate(np.asarray(p_values, float)[order] * factors), 1.0)
    adjusted = np.empty(len(p_values))
    adjusted[order] = stepped
    return [float(p) for p in adjusted]
