"""The common scale, the order, and the reasons."""

from __future__ import annotations

import numpy as np
import pytest

from lope_train.detector.ranking import Score, rank

SCORES = {
    name: Score(name, name, lambda value, usual, name=name: f"{name} {value:g}, usual {usual:g}")  # type: ignore[misc]
    for name in ("a", "b")
}


def test_the_largest_place_on_the_scale_counts() -> None:
    values = {
        "a": np.array([1.0, 2.0, 3.0, 4.0, 4.0, np.nan, 0.0, 0.5]),
        "b": np.array([900.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan]),
    }
    found = rank(values, SCORES)
    shares = [1 / 8, 4 / 8, 3 / 8, 2 / 8, 2 / 8, 1.0, 7 / 8, 6 / 8]  # of rows whose value is as high, of a or b
    assert found.score == pytest.approx(-np.log10(shares))
    assert found.order.tolist() == [0, 3, 4, 2, 1, 7, 6, 5]
    assert found.reasons[0] == "b 900, usual 900"
    assert found.reasons[3] == "a 4, usual 2"


def test_a_score_that_no_row_has_ranks_none() -> None:
    values = {"a": np.array([1.0, 3.0, 2.0]), "b": np.full(3, np.nan)}
    assert rank(values, SCORES).order.tolist() == [1, 2, 0]


def test_equal_scores_keep_the_order_of_the_rows() -> None:
    values = {"a": np.zeros(5), "b": np.zeros(5)}
    assert rank(values, SCORES).order.tolist() == [0, 1, 2, 3, 4]
