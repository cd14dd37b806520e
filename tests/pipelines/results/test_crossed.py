"""The crossed variance of seeds and questions: by hand and by simulation, for one task and for a mean of tasks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from lope_common.intervals import wilson
from pipelines.results.intervals import FEW, Scores, crossed, share_interval
from pipelines.results.power import POWER, smallest_detectable


def made(*tasks: Scores) -> tuple[float, float, float, float]:
    found = crossed(tasks)
    assert found is not None
    return float(found.mean), float(found.low), float(found.high), float(found.p)


def literal(scores: Scores) -> tuple[float, float]:
    """Variance and degrees of freedom of the mean, from sums of squares written out."""
    seeds, questions = scores.shape
    mean = scores.mean()
    by_seed = sum(questions * (row.mean() - mean) ** 2 for row in scores) / (seeds - 1)
    by_question = sum(seeds * (column.mean() - mean) ** 2 for column in scores.T) / (questions - 1)
    rest = sum(
        (scores[s, q] - scores[s].mean() - scores[:, q].mean() + mean) ** 2
        for s, q in itertools.product(range(seeds), range(questions))
    ) / ((seeds - 1) * (questions - 1))
    total = max(by_seed + by_question - rest, by_seed, by_question)
    parts = by_seed**2 / (seeds - 1) + by_question**2 / (questions - 1) + rest**2 / ((seeds - 1) * (questions - 1))
    return float(total / (seeds * questions)), float(total**2 / parts)


@pytest.mark.parametrize("seed", range(6))
def test_one_task_by_hand(seed: int) -> None:
    """With a spread over seeds, over questions, both or neither."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=(6, 40)) + seed % 2 * rng.normal(size=(6, 1)) + seed // 2 * rng.normal(size=40)
    scores = (margins > 0.5).astype(np.int8) - (margins < -0.5).astype(np.int8)
    variance, freedom = literal(scores)
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    assert made(scores)[:3] == pytest.approx((scores.mean(), scores.mean() - half, scores.mean() + half))
    assert made(scores)[3] == pytest.approx(2 * stats.t.sf(abs(scores.mean()) / variance**0.5, freedom))


def test_a_task_twice_over_is_the_task() -> None:
    """Halves of the questions as tasks of their own: the same mean and very nearly the same interval."""
    rng = np.random.default_rng(3)
    scores = ((rng.normal(size=(6, 1)) * 0.3 + rng.normal(size=800) + rng.normal(size=(6, 800))) > 0).astype(np.int8)
    one, two = made(scores), made(scores[:, ::2], scores[:, 1::2])
    assert two[0] == pytest.approx(one[0])
    assert two[1:3] == pytest.approx(one[1:3], abs=0.002)


def test_the_variance_of_a_mean_of_tasks_is_unbiased_and_its_intervals_cover() -> None:
    """Seeds are shared and questions are not; normal scores, so that the truth is 0 and its variance known."""
    rng = np.random.default_rng(8)
    studies, seeds, sizes = 4000, 6, (30, 90)
    common, single = rng.normal(size=(studies, seeds, 1)), [rng.normal(size=(studies, seeds, 1)) for _ in sizes]
    tasks = [
        0.5 * common + 0.3 * own + 2 * rng.normal(size=(studies, 1, size)) + rng.normal(size=(studies, seeds, size))
        for own, size in zip(single, sizes, strict=True)
    ]
    found = crossed([(1000 * task).astype(np.int32) for task in tasks])
    assert found is not None
    per_task = [0.3**2 / seeds + 4 / size + 1 / (seeds * size) for size in sizes]
    truth = 0.5**2 / seeds + sum(per_task) / 4
    apart = found.seeds + found.questions.sum(axis=0)  # its mean squares; that of the rest needs answers of 0 and 1
    rest = sum(1 / (seeds * size) for size in sizes) / 4
    assert apart.mean() / 1e6 - rest == pytest.approx(truth, rel=0.02)
    assert (found.mean / 1e3).var() == pytest.approx(truth, rel=0.05)


def test_few_seeds_and_one_question() -> None:
    scores = np.eye(4, 8, dtype=np.int8)
    assert crossed([scores[:1]]) is None
    assert crossed([scores[:, :1]]) is None
    assert crossed([scores, scores[:, :1]]) is None
    assert crossed([scores[:2]]) is not None


@pytest.mark.parametrize("value", [0, 1, -1])
def test_what_never_differs_leaves_three_in_n_possible(value: int) -> None:
    """By Clopper and Pearson: of none in n, 1 - 0.05^(1/n)."""
    for questions in (20, 200, 5000):
        scores = np.full((5, questions), value, np.int8)
        mean, low, high, p = made(scores)
        bound = stats.binomtest(0, questions).proportion_ci(confidence_level=0.9).high
        assert (mean, low, high) == pytest.approx((value, value - bound, value + bound))
        assert bound == pytest.approx(3 / questions, rel=0.1)
        assert p == 1.0 if value == 0 else p < 0.05
        found = crossed([scores])
        assert found is not None
        assert bound < smallest_detectable(found) < 3 * bound or value


def test_few_questions_that_differ_are_no_surer_than_none() -> None:
    """One answer at one seed would otherwise have a fifth of the interval of none; from six questions theory stands."""
    for count in range(8):
        scores = np.zeros((5, 200), np.int8)
        scores[np.arange(count) % 5, np.arange(count)] = 1
        _, low, high, _ = made(scores)
        assert (high - low >= 2 * 0.01486) == (count < FEW)
    calm = made(np.zeros((5, 200), np.int8), np.zeros((5, 50), np.int8))
    assert calm[2] == pytest.approx((1 - 0.05 ** (1 / 50)) / 2)  # the tasks' smallest bounds their mean


def test_rows_and_columns_that_are_level_give_a_variance_of_nothing() -> None:
    """Every seed and question has the sum 0, and yet answers differ: no division by 0."""
    scores = np.kron(np.ones((3, 10), np.int8), np.array([[1, -1], [-1, 1]], np.int8)).astype(np.int8)
    with np.errstate(all="raise"):
        mean, low, high, p = made(scores)
        found = crossed([scores])
        assert found is not None
        assert np.isfinite(smallest_detectable(found))
    assert (mean, p) == (0.0, 1.0)
    assert low <= 0 <= high


def test_any_answers_give_an_interval_with_a_width_and_a_p_value_that_agrees() -> None:
    rng = np.random.default_rng(0)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        for _ in range(1000):
            seeds, one_way = rng.integers(2, 11), rng.random() < 0.5
            share = rng.choice([0.001, 0.01, 0.1, 0.5, 0.9, 1.0])
            sizes = rng.integers(2, 60, rng.integers(1, 4))
            right = [(rng.random((seeds, size)) < share).astype(np.int8) for size in sizes]
            signs = [1] if one_way else [-1, 1]
            tasks = [(one * rng.choice(signs, one.shape)).astype(np.int8) for one in right]
            found = crossed(tasks)
            assert found is not None
            assert found.low < found.high
            assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
            assert 0 < smallest_detectable(found) <= 1
            low, high = share_interval(right)
            assert 0 <= low < high <= 1


def test_the_accuracy_of_one_run_is_wilsons() -> None:
    right = np.array([[1] * 37 + [0] * 3], np.int8)
    assert share_interval([right]) == pytest.approx(wilson(37, 40))
    for value, count in ((1, 200), (0, 0)):
        assert share_interval([np.full((5, 200), value, np.int8)]) == pytest.approx(wilson(count, 200))


def test_the_mean_accuracy_of_one_run_joins_wilsons_limits() -> None:
    tasks = [np.array([[1] * 37 + [0] * 3], np.int8), np.array([[1] * 20 + [0] * 80], np.int8)]
    low, high = share_interval(tasks)
    ends = [wilson(37, 40), wilson(20, 100)]
    mean = (0.925 + 0.2) / 2
    assert low == pytest.approx(mean - np.hypot(0.925 - ends[0][0], 0.2 - ends[1][0]) / 2)
    assert high == pytest.approx(mean + np.hypot(0.925 - ends[0][1], 0.2 - ends[1][1]) / 2)


def test_the_accuracy_of_several_runs_is_the_crossed_one_within_0_and_1() -> None:
    rng = np.random.default_rng(2)
    right = (rng.random((5, 300)) < rng.random(300)).astype(np.int8)
    assert share_interval([right]) == pytest.approx(made(right)[1:3])
    nearly = np.ones((5, 300), np.int8)
    nearly[0, :2] = 0
    low, high = share_interval([nearly])
    assert 0.98 < low < nearly.mean() < high == 1.0


def test_accuracies_cover_the_truth_nineteen_times_in_twenty() -> None:
    """Over seeds and questions, which are both drawn."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        margins = 1.5 * rng.normal(size=200) + 0.3 * rng.normal(size=(5, 1)) + 0.5 * rng.normal(size=(5, 200))
        low, high = share_interval([(margins > -1).astype(np.int8)])
        covered += low <= stats.norm.cdf(1 / np.sqrt(1.5**2 + 0.3**2 + 0.5**2)) <= high
    assert 0.93 <= covered / 1000 <= 0.97


def test_what_could_have_been_seen_is_the_textbooks_where_answers_abound() -> None:
    """A third of all answers differ, so a difference changes the variance little: (t_0.975 + t_0.8) E."""
    rng = np.random.default_rng(1)
    scores = rng.integers(-1, 2, (5, 4000)).astype(np.int8)
    scores[:2] = np.where(rng.random((2, 4000)) < 0.05, 1, scores[:2])
    found = crossed([scores])
    assert found is not None
    textbook = (stats.t.ppf(0.975, found.freedom) + stats.t.ppf(POWER, found.freedom)) * found.error
    chi = np.sqrt(2 / found.freedom) * stats.chi(found.freedom).mean() / np.sqrt(2)
    assert smallest_detectable(found) == pytest.approx(textbook / chi, rel=0.02)
