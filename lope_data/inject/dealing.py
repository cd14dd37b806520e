"""Which op each ranked row is dealt: weights kept as well as they can be, and prefix-stable."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from lope_data.noise.registry import LEVELS, level_of
from lope_data.text import kernels
from lope_data.text.draws import I64

_MOST = 2**31 - 1  # of a weight's denominator, so that products with counts of rows stay within 64 bits


def deal(weights: Sequence[Fraction], names: Sequence[str], able: npt.NDArray[np.bool_]) -> I64:
    """Deals ops to ranked rows, -1 where no op can change a row; prefix-stable.

    Level by level, then op by op within the level, by the quota method (Balinski and Young 1975): of those whose count
    is below ceil(weight * turn), the one with the smallest (count + 1) / weight. While every row can take every level,
    each level stays within one row of its share. Levels that tie are told apart by the op that is owed most.

    Args:
        able: which op can change which row, shape (ops, rows).
    """
    levels = [level for level in LEVELS if any(level_of(name) == level for name in names)]
    level = [levels.index(level_of(name)) for name in names]
    sums = [
        sum((weight for weight, of in zip(weights, level, strict=True) if of == k), Fraction(0)) for k in set(level)
    ]
    within = [weight / sums[k] for weight, k in zip(weights, level, strict=True)]
    matrix = np.ascontiguousarray(able.T).view(np.uint8)
    return kernels.dealt(np.array(level, np.int64), *_quotients(within), *_quotients(sums), matrix)


def _quotients(weights: Sequence[Fraction]) -> tuple[I64, I64]:
    """Numerators and denominators; a weight below one part in 2**31 counts as that."""
    near = [max(weight.limit_denominator(_MOST), Fraction(1, _MOST)) for weight in weights]
    return np.array([w.numerator for w in near], np.int64), np.array([w.denominator for w in near], np.int64)
