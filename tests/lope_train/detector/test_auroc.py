"""AUROC is scikit-learn's; its interval is a bootstrap over rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lope_train.detector.auroc import areas

metrics = pytest.importorskip("sklearn.metrics")


def drawn(clusters: int, size: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Scores that vary by row, labels, rows."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), size)
    label = np.repeat(rng.random(clusters) < 0.5, size)
    values = np.round(label + np.repeat(rng.normal(size=clusters), size) + 0.1 * rng.normal(size=len(cluster)), 1)
    return values, label, cluster


def test_it_is_scikit_learns_with_ties_and_in_every_resample() -> None:
    values, label, cluster = drawn(30, 4)
    found = areas({"a": values}, label[None], ~label, cluster, resamples=20)["a"]
    assert found.value[0] == pytest.approx(metrics.roc_auc_score(label, values))
    rng = np.random.default_rng(614)
    for resample in found.resampled[:, 0]:
        times = np.bincount(rng.integers(0, 30, 30), minlength=30)[cluster]
        assert resample == pytest.approx(metrics.roc_auc_score(label, values, sample_weight=times))


def test_groups_share_negatives_and_a_group_without_any_is_no_number() -> None:
    values = np.array([3.0, 1.0, 2.0, 0.0])
    groups = np.array([[True, False, False, False], [False, True, False, False], [False] * 4])
    negative = np.array([False, False, True, True])
    found = areas({"a": values}, groups, negative, np.arange(4), resamples=5)["a"]
    assert found.value[:2].tolist() == [1.0, 0.5]
    assert np.isnan(found.value[2])


def test_clustered_intervals_are_wider_than_those_that_take_tokens_as_independent() -> None:
    values, label, cluster = drawn(40, 25)
    low, high = areas({"a": values}, label[None], ~label, cluster)["a"].interval(0)
    apart = areas({"a": values}, label[None], ~label, np.arange(len(values)))["a"].interval(0)
    assert high - low > 2 * (apart[1] - apart[0])


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Rows of several tokens, a known AUROC: Phi(1 / sqrt 2 sigma) of two normals that are one apart."""
    from math import erf

    rng = np.random.default_rng(1)
    true = 0.5 * (1 + erf(0.5))  # difference N(1, 2): Phi(1 / sqrt 2)
    covered = 0
    for _ in range(100):
        cluster = np.repeat(np.arange(80), 5)
        label = np.repeat(np.arange(80) < 40, 5)
        shared, own = rng.normal(size=80)[cluster], rng.normal(size=400)
        values = label + (shared + own) / np.sqrt(2)
        low, high = areas({"a": values}, label[None], ~label, cluster, resamples=200)["a"].interval(0)
        covered += low <= true <= high
    assert covered >= 88


def test_resamples_are_the_same_again_and_differences_are_paired() -> None:
    values, label, cluster = drawn(30, 4)
    noise = values + 0.01 * np.random.default_rng(3).normal(size=len(values))
    once, again = (areas({"a": values, "b": noise}, label[None], ~label, cluster) for _ in range(2))
    assert np.array_equal(once["a"].resampled, again["a"].resampled)
    low, high = (once["a"] - once["b"]).interval(0)
    alone = once["a"].interval(0)
    assert high - low < 0.2 * (alone[1] - alone[0])
