"""The order in which a step touches rows, and the op that each ranked row is dealt: both prefix-stable.

The rows at a ratio are a prefix, so they are among those at a larger one, and they have the same ops there.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lope_data.noise.registry import LEVELS, level_of
from lope_data.rows.fields import targets_of
from lope_data.text import kernels
from lope_data.text.buffers import whole
from lope_data.text.draws import I64, U64, Draw, ordered

_MOST = 2**31 - 1  # of a weight's denominator, so that products with counts of rows stay within 64 bits


def ranked(population: pa.Table, hashes: U64, draw: Draw, stratify: bool) -> I64:
    """The places of all rows in the order in which a step touches them.

    Args:
        hashes: `row_hashes` of the rows' ids, shape (rows,).
        stratify: every prefix of p rows holds of each class floor or ceil of p times its share.
    """
    order = ordered(draw.bits("rank"), hashes)
    if not stratify:
        return order
    classes = _classes(population)[order]
    within = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    first = np.concatenate(([0], np.cumsum(sizes)))
    turn = interleave(sizes)
    return order[within[first[turn] + _occurrence(turn)]]


def _classes(population: pa.Table) -> I64:
    """The class of each row as a number, in the order of the classes' names; rows without one are one class more."""
    found = targets_of(population, "class")
    codes = whole(found.table["target"]).dictionary_encode()
    names = codes.dictionary.to_pylist()
    number = np.empty(len(names), np.int64)
    number[sorted(range(len(names)), key=lambda i: names[i])] = np.arange(len(names))
    classes = np.full(len(population), len(names))
    labelled = np.flatnonzero(np.asarray(codes.is_valid()))
    classes[found.places[labelled]] = number[np.asarray(codes.indices.drop_null()).astype(np.int64)]
    return classes


def interleave(sizes: I64) -> I64:
    """A sequence in which class c stands sizes[c] times, and of each prefix of p makes up floor or ceil of
    p * sizes[c] / sum(sizes).

    The j-th of a class (from 1) may stand from place floor((j - 1) N / n) + 1 and must by ceil(j N / n); taking always
    the most urgent that may is a schedule that meets all of these (Tijdeman 1980, the chairman assignment problem).
    """
    total = int(sizes.sum())
    waiting = [(0, c) for c, n in enumerate(sizes.tolist()) if n]
    open_: list[tuple[int, int]] = []
    count = [0] * len(sizes)
    size = sizes.tolist()
    sequence = np.empty(total, np.int64)
    heapq.heapify(waiting)
    for place in range(total):
        while waiting and waiting[0][0] <= place:
            c = heapq.heappop(waiting)[1]
            heapq.heappush(open_, (-(-(count[c] + 1) * total // size[c]), c))
        c = heapq.heappop(open_)[1]
        sequence[place] = c
        count[c] += 1
        if count[c] < size[c]:
            heapq.heappush(waiting, (count[c] * total // size[c], c))
    return sequence


def _occurrence(values: I64) -> I64:
    """For each value how many equal ones stand before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    result = np.empty_like(values)
    result[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered)
    return result


class Dealer:
    """Deals ops to ranked rows, some after others; prefix-stable.

    Level by level, then op by op within the level, by the quota method (Balinski and Young 1975): of those whose count
    is below ceil(weight * turn), the one with the smallest (count + 1) / weight. While every row can take every level,
    each level stays within one row of its share. Of levels that tie, the one with the op that is owed most comes first.
    """

    def __init__(self, weights: Sequence[Fraction], names: Sequence[str]) -> None:
        levels = [level for level in LEVELS if any(level_of(name) == level for name in names)]
        level = [levels.index(level_of(name)) for name in names]
        sums = [
            sum((weight for weight, of in zip(weights, level, strict=True) if of == k), Fraction(0)) for k in set(level)
        ]
        within = [weight / sums[k] for weight, k in zip(weights, level, strict=True)]
        self._rule = np.array(level, np.int64), *_quotients(within), *_quotients(sums)
        self._counts = np.zeros(len(names), np.int64), np.zeros(len(levels), np.int64)

    def deal(self, able: npt.NDArray[np.bool_]) -> I64:
        """The op of each of the next rows, -1 where no op can change it, of which can in `able`, shape (ops, rows)."""
        return kernels.dealt(*self._rule, np.ascontiguousarray(able.T).view(np.uint8), *self._counts)


def _quotients(weights: Sequence[Fraction]) -> tuple[I64, I64]:
    """Numerators and denominators; a weight below one part in 2**31 counts as that."""
    near = [max(weight.limit_denominator(_MOST), Fraction(1, _MOST)) for weight in weights]
    return np.array([w.numerator for w in near], np.int64), np.array([w.denominator for w in near], np.int64)
