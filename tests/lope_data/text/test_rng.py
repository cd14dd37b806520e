"""Randomness is a pure function of its key."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_data.text.draws import I64, Draw, choose, choose_apart, choose_last, context_key, mix, row_hashes

Pick = Callable[[Draw, I64, I64, str], tuple[I64, I64]]


def draw(rows: int, *context: str | int) -> Draw:
    return Draw(context or (614,), row_hashes(pa.array([str(i) for i in range(rows)])))


def test_mix_is_splitmix64() -> None:
    # the first outputs of SplitMix64 from state 0: mix(1 * GOLDEN), mix(2 * GOLDEN)
    states = np.array([0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A], np.uint64)
    assert mix(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_context_parts_are_framed() -> None:
    keys = {context_key("ab", "c"), context_key("a", "bc"), context_key("abc"), context_key(1), context_key("1")}
    assert len(keys) == 5


@pytest.mark.parametrize("other", [(615,), (614, "x"), (614, 0)])
def test_another_context_gives_unrelated_numbers(other: tuple[str | int, ...]) -> None:
    one, two = draw(4000).unit("p"), draw(4000, *other).unit("p")
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.06
    assert not (one == two).any()


def test_draws_do_not_depend_on_the_batch() -> None:
    whole = draw(50)
    part = Draw(whole.context, whole.rows[10:20])
    assert np.array_equal(whole.bits("p")[10:20], part.bits("p"))
    assert np.array_equal(whole.bits("p", np.array([12]), np.array([7])), part.bits("p", np.array([2]), np.array([7])))


def test_unit_and_below_are_uniform() -> None:
    units = draw(40_000).unit("p")
    assert units.min() >= 0
    assert units.max() < 1
    assert abs(units.mean() - 0.5) < 4 * math.sqrt(1 / 12 / len(units))
    counts = np.bincount(draw(40_000).below(7, "q"), minlength=7)
    expected = 40_000 / 7
    assert ((counts - expected) ** 2 / expected).sum() < 22.5  # chi-squared, 6 degrees of freedom, p = 0.001


def chosen(pick: Pick, draw: Draw, n: I64, k: I64) -> tuple[I64, I64]:
    """(row, position counted within its row)."""
    row, flat = pick(draw, n, k, "p")
    return row, flat - (np.cumsum(n) - n)[row]


@pytest.mark.parametrize(("n", "k"), [(5, 2), (5, 4), (7, 3)])
def test_every_subset_is_equally_likely(n: int, k: int) -> None:
    rows = 20_000
    _, place = chosen(choose, draw(rows), np.full(rows, n), np.full(rows, k))
    counts = Counter(map(tuple, place.reshape(rows, k).tolist()))
    expected = rows / math.comb(n, k)
    assert len(counts) == math.comb(n, k)
    chi2 = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = len(counts) - 1
    assert chi2 < freedom + 4 * math.sqrt(2 * freedom)


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=20))
def test_choose_gives_what_was_asked(sizes: list[tuple[int, float]]) -> None:
    n = np.array([size for size, _ in sizes])
    k = np.array([round(share * size) for size, share in sizes])
    row, place = chosen(choose, draw(len(n)), n, k)
    assert ((place >= 0) & (place < n[row])).all()
    assert (np.bincount(row, minlength=len(n)) == k).all()
    assert (np.diff(row) >= 0).all()
    assert (np.diff(place)[np.diff(row) == 0] >= 1).all()


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=20))
def test_choose_apart_leaves_room_between(sizes: list[tuple[int, float]]) -> None:
    n = np.array([size for size, _ in sizes])
    k = np.array([round(share * ((size + 1) // 2)) for size, share in sizes])
    row, place = chosen(choose_apart, draw(len(n)), n, k)
    assert ((place >= 0) & (place < n[row])).all()
    assert (np.bincount(row, minlength=len(n)) == k).all()
    assert (np.diff(place)[np.diff(row) == 0] >= 2).all()


def test_every_subset_apart_is_equally_likely() -> None:
    rows = 20_000
    _, place = chosen(choose_apart, draw(rows), np.full(rows, 6), np.full(rows, 2))
    counts = Counter(map(tuple, place.reshape(rows, 2).tolist()))
    assert len(counts) == 10  # C(6 - 2 + 1, 2)
    assert sum((count - rows / 10) ** 2 / (rows / 10) for count in counts.values()) < 27.9  # chi-squared, 9, p = 0.001


def test_choose_last_takes_the_tail() -> None:
    row, place = chosen(choose_last, draw(3), np.array([4, 0, 5]), np.array([2, 0, 1]))
    assert row.tolist() == [0, 0, 2]
    assert place.tolist() == [2, 3, 4]


def test_choose_does_not_depend_on_the_batch() -> None:
    n, k = np.arange(1, 41), np.arange(1, 41) // 3
    row, place = chosen(choose, draw(40), n, k)
    alone_row, alone = chosen(choose, Draw((614,), draw(40).rows[30:31]), n[30:31], k[30:31])
    assert np.array_equal(alone, place[row == 30])
    assert not alone_row.any()
