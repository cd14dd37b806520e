"""Whole numbers and how often each occurs: exact, mergeable, and cut into bars for a chart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bar:
    """How many numbers lie from `low` to `high`, both included; `below` and `above`: also all that lie beyond."""

    low: int
    high: int
    count: int
    below: bool = False
    above: bool = False

    @property
    def label(self) -> str:
        if self.below and self.above:
            return "all"
        if self.below:
            return f"≤ {_signed(self.high)}"
        if self.above:
            return f"≥ {_signed(self.low)}"
        if self.low == self.high:
            return _signed(self.low)
        return f"{_signed(self.low)} to {_signed(self.high)}"


@dataclass(frozen=True)
class Distribution:
    """Numbers by value: `values` ascending and distinct, `counts` how often each occurs."""

    values: I64
    counts: I64

    @classmethod
    def of(cls, numbers: npt.NDArray[Any]) -> Distribution:
        values, counts = np.unique(np.asarray(numbers).astype(np.int64), return_counts=True)
        return cls(values, counts.astype(np.int64))

    @classmethod
    def merged(cls, parts: Iterable[Distribution]) -> Distribution:
        """All numbers of the parts together."""
        found = list(parts)
        if not found:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        values, place = np.unique(np.concatenate([part.values for part in found]), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, place, np.concatenate([part.counts for part in found]))
        return cls(values, counts)

    @property
    def total(self) -> int:
        """How many numbers there are."""
        return int(self.counts.sum())

    @property
    def sum(self) -> int:
        return int((self.values * self.counts).sum())

    @property
    def mean(self) -> float:
        return self.sum / self.total

    @property
    def least(self) -> int:
        return int(self.values[0])

    @property
    def most(self) -> int:
        return int(self.values[-1])

    def quantile(self, share: float) -> int:
        """The smallest number that at least this share of all numbers does not exceed."""
        return int(self.values[np.searchsorted(np.cumsum(self.counts), share * self.total)])

    def between(self, low: float, high: float) -> int:
        """How many numbers lie in [low, high]."""
        return int(self.counts[(self.values >= low) & (self.values <= high)].sum())

    def bars(self, most: int = 24) -> list[Bar]:
        """At most `most` bars of one round width, which hold every number. Where a few numbers lie so far out that the
        others would be crowded into a few bars, the outermost bars are open.
        """
        if not self.total:
            return []
        low, high = self.least, self.most
        width = _width(low, high, most)
        inner = self.quantile(0.01), self.quantile(0.99)
        if width > 2 * _width(*inner, most):
            low, high = inner
            width = _width(low, high, most)
        first, last = low // width, high // width
        slots = np.zeros(last - first + 1, np.int64)
        np.add.at(slots, np.clip(self.values // width, first, last) - first, self.counts)
        below, above = self.least < first * width, self.most >= (last + 1) * width
        return [
            Bar(
                (first + i) * width,
                (first + i + 1) * width - 1,
                int(count),
                below=below and i == 0,
                above=above and first + i == last,
            )
            for i, count in enumerate(slots)
        ]


def _width(low: int, high: int, most: int) -> int:
    """The least of 1, 2, 5, 10, 20, ... at which that many bars reach from low to high."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if high // (scale * step) - low // (scale * step) < most:
                return scale * step
        scale *= 10


def _signed(number: int) -> str:
    return f"{number:,}".replace("-", "−")
