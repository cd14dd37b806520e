"""Area under the ROC curve of several detectors on the same items, with intervals by a bootstrap over clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RESAMPLES = 1000
SEED = 614
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True)
class Areas:
    """AUROCs of one detector: a group of positives each, against the same negatives; NaN where there are none."""

    value: F64
    """(groups,)"""
    resampled: F64
    """(resamples, groups)"""

    def __sub__(self, other: Areas) -> Areas:
        """Differences, paired: both detectors saw the same resamples."""
        return Areas(self.value - other.value, self.resampled - other.resampled)

    def interval(self, group: int) -> tuple[float, float]:
        """The 95 % percentile interval over the resamples that have positives and negatives."""
        low, high = np.nanpercentile(self.resampled[:, group], _LEVELS)
        return float(low), float(high)


def areas(
    scores: Mapping[str, F64],
    groups: Mask,
    negative: Mask,
    cluster: npt.NDArray[np.int64],
    resamples: int = RESAMPLES,
) -> dict[str, Areas]:
    """AUROC of each detector: the chance that a positive scores above a negative, ties counting half.

    `scores` are (items,) and finite, `groups` (groups, items) says which items are positive for what, `negative` and
    `cluster` are (items,). Whole clusters are drawn with replacement, as many as there are, the same for every
    detector; a drawn cluster counts as often as it was drawn. Scores are sorted once.
    """
    rng = np.random.default_rng(SEED)
    count = int(cluster.max()) + 1 if len(cluster) else 0
    draws = [np.ones(count)]
    draws += [np.bincount(rng.integers(0, count, count), minlength=count).astype(float) for _ in range(resamples)]
    positive = groups.any(0)
    member = groups[:, positive].astype(np.float64)
    of_positive, of_negative = cluster[positive], cluster[negative]
    found: dict[str, Areas] = {}
    for name, values in scores.items():
        order = np.argsort(values[negative], kind="stable")
        below = values[negative][order]
        owners = of_negative[order]
        first = np.searchsorted(below, values[positive], "left")
        last = np.searchsorted(below, values[positive], "right")
        result = np.full((len(draws), len(groups)), np.nan)
        for number, times in enumerate(draws):
            passed = np.concatenate([np.zeros(1), np.cumsum(times[owners])])
            weight = times[of_positive]
            won = member @ (weight * (passed[first] + passed[last]) / 2)
            pairs = (member @ weight) * passed[-1]
            np.divide(won, pairs, out=result[number], where=pairs > 0)
        found[name] = Areas(result[0], result[1:])
    return found
