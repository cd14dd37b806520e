"""Intervals of shares: Wilson's for independent answers, the ratio estimator's for units that come in rows."""

from __future__ import annotations

from math import sqrt

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def wilson(correct: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of the share correct / count, count > 0."""
    share = correct / count
    centre = share + Z95**2 / (2 * count)
    half = Z95 * sqrt(share * (1 - share) / count + (Z95 / (2 * count)) ** 2)
    scale = 1 + Z95**2 / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def ratio_interval(
    rows: int, units: int, changed: int, units2: int, changed2: int, cross: int
) -> tuple[float, float] | None:
    """A 95 % interval of changed / units over rows like these, rows being drawn; None where it cannot be had.

    The variance is n / (n - 1) * sum((changed_i - share * units_i)^2) / units^2 (Cochran 1977, section 6.4).

    Args:
        rows: how many rows there are, n.
        units, changed: sums over the rows.
        units2, changed2, cross: sums over the rows of their squares and of their product.
    """
    if not units or rows < 2:
        return None
    share = changed / units
    squares = changed2 - 2 * share * cross + share**2 * units2
    error = sqrt(max(squares, 0.0) * rows / (rows - 1)) / units
    return max(share - Z95 * error, 0.0), min(share + Z95 * error, 1.0)
