"""How small a difference a comparison could have seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from pipelines.results.intervals import FEW, Crossed, Floats

POWER = 0.8
_STEPS = 8
"""Of each of the iterations below; each step brings them several times nearer."""


def smallest_detectable(found: Crossed) -> Floats:
    """The least true difference that the test of `found` finds with power `POWER`; two-sided at 0.05, before Holm.

    For a standard error E of n degrees of freedom that does not depend on the difference it is (t_0.975 + t_0.8) E.
    Answers are right or wrong, so a difference changes E: a model that is better by d must answer at least a share d
    of the questions otherwise. Both parts are therefore made with the error at their own place,

        d = t_0.975 E(m) + t_0.8 E(d), with the least mean that is significant, m = t_0.975 E(m)

    E(d) has what Connor (1987) plans paired shares with, a larger share of differing answers, in its part of the
    questions: `_share`. E is divided by the mean of an error of n degrees of freedom as a share of the true one, sqrt(2
    / n) Gamma((n + 1) / 2) / Gamma(n / 2), or few seeds would promise too much.
    """
    spreads = _spread(np.abs(found.means), found.shares)
    now = found.shares - found.means**2

    def moved(d: Floats) -> Crossed:
        """As if the true difference were d, in every task."""
        more = (_share(d, spreads) - d**2 - now) / (found.sizes * len(found.sizes) ** 2)
        return replace(found, questions=np.maximum(found.questions + more, 0.0))

    least = np.minimum(found.critical * found.error, 1.0)
    for _ in range(_STEPS):
        at = moved(least)
        least = np.minimum(at.critical * at.error / _bias(at), 1.0)
    detected = least
    for _ in range(_STEPS):
        at = moved(detected)
        detected = np.minimum(least + special.stdtrit(at.freedom, POWER) * at.error / _bias(at), 1.0)
    return np.asarray(detected)


def _share(d: Floats, spread: Floats) -> Floats:
    """The share of answers that differ where the true difference is d.

    Each question has a margin by which it is answered right or wrong, evenly spread near 0. Its difference between
    the two arms is normal, with mean d and this spread, in units of the share of questions in a unit of margin; what
    crosses 0 is answered otherwise. So d is the mean of the difference, and the share that of its size.
    """
    x = np.minimum(d / np.maximum(spread, 1e-300), 40.0)
    return np.asarray(spread * np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2) + d * (2 * special.ndtr(x) - 1))


def _spread(d: Floats, share: Floats) -> Floats:
    """The spread with which `_share` of d is the share found; Newton's method from above, the share being convex."""
    spread = share * np.sqrt(np.pi / 2)
    for _ in range(3 * _STEPS):
        slope = np.sqrt(2 / np.pi) * np.exp(-((d / np.maximum(spread, 1e-300)) ** 2) / 2)
        spread = np.maximum(spread - (_share(d, spread) - share) / np.maximum(slope, 1e-9), 0.0)
    return np.where(share > d, spread, 0.0)


def _bias(found: Crossed) -> Floats:
    """The mean of a standard error as a share of the true one, by the distribution of chi.

    Of k questions that differ alike, the variance is no better known than with 2 k degrees of freedom.
    """
    freedom = np.minimum(found.freedom, 2 * np.maximum(found.uneven, FEW))
    half = freedom / 2
    return np.asarray(special.poch(half, 0.5) / np.sqrt(half))
