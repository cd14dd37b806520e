"""The common scale, and the order."""

from __future__ import annotations

import numpy as np
import pytest

from lope_train.detector.ranking import rank


def test_the_largest_place_on_the_scale_counts() -> None:
    values = {
        "a": np.array([1.0, 2.0, 3.0, 4.0, 4.0, np.nan, 0.0, 0.5]),
        "b": np.array([900.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan]),
    }
    found = rank(values)
    shares = [1 / 8, 4 / 8, 3 / 8, 2 / 8, 2 / 8, 1.0, 7 / 8, 6 / 8]  # of rows whose value is as high, of a or b
    assert found.score == pytest.approx(-np.log10(shares))
    assert found.order.tolist() == [0, 3, 4, 2, 1, 7, 6, 5]
    assert (found.by[0], found.by[3]) == ("b", "a")


def test_a_score_that_no_row_has_ranks_none() -> None:
    values = {"a": np.array([1.0, 3.0, 2.0]), "b": np.full(3, np.nan)}
    assert rank(values).order.tolist() == [1, 2, 0]


def test_equal_scores_keep_the_order_of_the_rows() -> None:
    values = {"a": np.zeros(5), "b": np.zeros(5)}
    assert rank(values).order.tolist() == [0, 1, 2, 3, 4]
