"""Weights of rows, by which training counts them: of a list, of a version, and as its column `lope_weight`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.shapes import ROW_ID, WEIGHT
from lope_data.text.buffers import whole

F32 = npt.NDArray[np.float32]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOST = float(np.finfo(np.float32).max)


def weights_of(rows: pa.Table) -> F32:
    """The weights of a version's rows, shape (rows,): 1 where it has no such column."""
    if WEIGHT not in rows.column_names:
        return np.ones(len(rows), np.float32)
    return np.asarray(whole(rows[WEIGHT]), np.float32)


def as_weights(texts: Sequence[str], option: str) -> list[float]:
    """The weights that a list gives, each the nearest number of 32 bits.

    Raises:
        SourceError: one is not a number from 0 on, or is too large; says in which row of the list.
    """
    return [_weight(text, f"{option}: row {number} of the list") for number, text in enumerate(texts, start=1)]


def _weight(text: str, place: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not 0 <= value <= _MOST:  # NaN neither
        raise SourceError(f"{place}: the weight {shown(text)} is not a finite number from 0 on")
    return abs(float(np.float32(value)))  # -0 is 0


def weighted(rows: pa.Table, weights: Mapping[str, float]) -> pa.Table:
    """The rows with other weights of some, by their ids; without any, and without a column of weights, as they are."""
    there = WEIGHT in rows.column_names
    if not weights and not there:
        return rows
    found = weights_of(rows).tolist()
    own = rows[ROW_ID].to_pylist()
    new = pa.array([weights.get(row, old) for row, old in zip(own, found, strict=True)], pa.float32())
    if there:
        return rows.set_column(rows.column_names.index(WEIGHT), WEIGHT, new)
    return rows.append_column(pa.field(WEIGHT, pa.float32()), new)


def other_weights(before: pa.Table, after: pa.Table) -> dict[str, float]:
    """The weights that differ between the same rows in two versions, by id, as the second has them."""
    new = weights_of(after)
    rows = np.flatnonzero(weights_of(before) != new)
    ids = after[ROW_ID].take(pa.array(rows)).to_pylist()
    return dict(zip(ids, new[rows].tolist(), strict=True))
