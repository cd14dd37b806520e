"""AUROC is scikit-learn's; its interval is a bootstrap over rows; groups and verdicts of the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lope_train.detector.auroc import areas
from lope_train.detector.tables import groups_of, verdicts

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


def scores(mean: Any, surprisal: Any) -> dict[str, Any]:
    nothing = np.zeros(len(mean))
    return {"weight_mean": mean, "surprisal": surprisal, "subwords": nothing, "untrained_mean": nothing}


def test_groups_by_op_level_and_all_and_a_verdict_that_says_who_wins() -> None:
    rng = np.random.default_rng(0)
    ops = [("char.insert",) if i % 8 == 0 else ("word.swap",) if i % 8 == 1 else () for i in range(400)]
    row = np.arange(400) // 4
    char = np.array(["char.insert" in own for own in ops])
    word = np.array(["word.swap" in own for own in ops])
    mean = 5.0 * char - 5.0 * word + rng.normal(size=400)
    groups = groups_of("tokens", scores(mean, rng.normal(size=400)), ops, row)
    assert [(group.level, group.op, group.positives, group.negatives) for group in groups] == [
        (None, None, 100, 300),
        ("char", None, 50, 300),
        ("char", "char.insert", 50, 300),
        ("word", None, 50, 300),
        ("word", "word.swap", 50, 300),
    ]
    assert groups[1].detectors["weight_mean"].value > 0.99  # the other level's tokens are no negatives
    said = {verdict.level: verdict for verdict in verdicts(groups)}
    assert said["char"].beats == ["surprisal", "subwords", "untrained_mean"]
    assert said["word"].loses_to == ["surprisal", "subwords", "untrained_mean"]
    assert "loses to surprisal" in said["word"].sentence
    assert "lower where there is noise" in said["word"].sentence
    assert "chance" not in said["char"].sentence


def test_too_few_positives_or_rows_give_no_figure_and_no_edits_no_group() -> None:
    ops: list[tuple[str, ...]] = [("char.insert",) if i < 12 else () for i in range(100)]
    values = scores(np.arange(100.0), np.arange(100.0))
    assert groups_of("tokens", values, ops, np.arange(100))[0].detectors
    few = groups_of("tokens", values, ops, np.arange(100) // 6)[0]
    assert (few.rows, few.detectors, verdicts([few])) == (2, {}, [])
    nine: list[tuple[str, ...]] = [("char.insert",) if i < 9 else () for i in range(100)]
    assert groups_of("tokens", values, nine, np.arange(100))[0].detectors == {}
    assert groups_of("tokens", values, [()] * 100, np.arange(100)) == []


def test_an_item_without_a_score_of_one_detector_counts_for_none() -> None:
    ops: list[tuple[str, ...]] = [("char.insert",) if i < 20 else () for i in range(100)]
    surprisal = np.arange(100.0)
    surprisal[[0, 50]] = np.nan
    group = groups_of("tokens", scores(np.arange(100.0), surprisal), ops, np.arange(100))[0]
    assert (group.positives, group.negatives) == (19, 79)
