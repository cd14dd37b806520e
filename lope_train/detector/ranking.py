"""Scores of different units on a common scale, and the ranking by their largest."""

from __future__ import annotations

from collections.abc import Mapping
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
    """What it is, for the page."""


@dataclass(frozen=True)
class Ranking:
    """Of rows, by their places in what was ranked."""

    order: npt.NDArray[np.int64]
    """The worst first."""
    score: F64
    """(rows,): the largest of the row's scores on the common scale."""
    by: list[str]
    """(rows,): which score that is."""


def rank(values: Mapping[str, F64]) -> Ranking:
    """Rank rows by the largest of their scores on a common scale; `values` are (rows,) by name, NaN where none is.

    A value's place on the scale is -log10 of the share of rows whose value is at least as high: 2 is one in a hundred.
    It needs no unit and no shape of the distribution, and rows without a value count as the lowest, so that a score
    that few rows have finds no more of them than one that all have. Rows of equal score keep their order.
    """
    scaled = np.stack([_tail(own) for own in values.values()])
    score: F64 = scaled.max(0)
    names = list(values)
    return Ranking(np.argsort(-score, kind="stable"), score, [names[which] for which in scaled.argmax(0)])


def _tail(values: F64) -> F64:
    known = np.where(np.isfinite(values), values, -np.inf)
    at_least = len(known) - np.searchsorted(np.sort(known), known, "left")
    scaled: F64 = -np.log10(at_least / len(known))
    return scaled
