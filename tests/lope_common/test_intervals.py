"""Intervals are the published ones."""

from __future__ import annotations

import pytest

from lope_common.intervals import ratio_interval, wilson


def test_wilson_is_the_published_interval() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for correct, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        assert wilson(correct, count) == pytest.approx((low, high), abs=5e-5)
    assert wilson(20, 20)[1] == 1.0


def test_the_ratio_estimator_is_the_published_one() -> None:
    # rows with 10, 20 and 30 units of which 1, 3 and 2 changed: by hand, share 0.1, deviations 0, 1 and -1, so the
    # standard error is sqrt(3 / 2 * 2) / 60
    error = 1.959964 * 3**0.5 / 60
    found = ratio_interval(rows=3, units=60, changed=6, units2=1400, changed2=14, cross=130)
    assert found == pytest.approx((0.1 - error, 0.1 + error))


def test_one_row_has_no_interval() -> None:
    assert ratio_interval(1, 10, 1, 100, 1, 10) is None
    assert ratio_interval(2, 0, 0, 0, 0, 0) is None
