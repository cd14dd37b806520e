"""Scores of different units on a common scale, the ranking by their largest, and the reason for it in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lope_train.detector.auroc import F64


@dataclass(frozen=True)
class Score:
    """One score of rows, higher for a row that is more likely wrong."""

    label: str
    """What tables call it."""
    about: str
    """What it is, for the page: one sentence."""
    reason: Callable[[float, float], str]
    """In words, what a row's value and the median of all rows say."""


@dataclass(frozen=True)
class Ranking:
    """Of the rows, by their numbers."""

    order: npt.NDArray[np.int64]
    """The worst first."""
    score: F64
    """(rows,): the largest of the row's scores on the common scale."""
    reasons: list[str]
    """Of each row, by the score that was the largest."""


def rank(values: Mapping[str, F64], scores: Mapping[str, Score]) -> Ranking:
    """Rank rows by the largest of `scores` on a common scale; `values` are (rows,) by name, NaN where there are none.

    A value's place on the scale is -log10 of the share of rows whose value is at least as high: 2 is one in a hundred.
    It needs no unit and no shape of the distribution, and rows without a value count as the lowest, so that a score
    that few rows have finds no more of them than one that all have. Rows of equal score keep their order.
    """
    scaled = np.stack([_tail(values[name]) for name in scores])
    best = scaled.argmax(0)
    score: F64 = scaled.max(0)
    names = list(scores)
    medians = {name: float(np.nanmedian(values[name])) if np.isfinite(values[name]).any() else 0.0 for name in names}
    reasons = [
        scores[name := names[which]].reason(float(values[name][row]), medians[name]) for row, which in enumerate(best)
    ]
    return Ranking(np.argsort(-score, kind="stable"), score, reasons)


def _tail(values: F64) -> F64:
    known = np.where(np.isfinite(values), values, -np.inf)
    at_least = len(known) - np.searchsorted(np.sort(known), known, "left")
    scaled: F64 = -np.log10(at_least / len(known))
    return scaled
