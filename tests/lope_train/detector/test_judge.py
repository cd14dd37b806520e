"""AUROC of rows by op and level, against a count of all pairs, and the words for it."""

from __future__ import annotations

import numpy as np
import pytest

from lope_train.detector.judge import judge, sentences

RNG = np.random.default_rng(7)
OPS = (
    [("label.flip",)] * 12
    + [("char.swap",)] * 15
    + [("label.flip", "char.swap")] * 3
    + [("word.swap",)] * 4
    + [()] * 40
)
FLIPPED = np.array(["label.flip" in own for own in OPS])
SCORES = {
    "score": RNG.normal(size=len(OPS)) + 4.0 * FLIPPED,
    "base": RNG.normal(size=len(OPS)),
    "some": np.where(RNG.random(len(OPS)) < 0.5, np.nan, 1.0),
}


def area(values: np.ndarray[tuple[int], np.dtype[np.float64]], positive: list[bool]) -> float:
    """Of all pairs, one by one; no value is less than any."""
    clean = [value for value, own in zip(values, OPS, strict=True) if not own]
    won = [
        (value > other) + (value == other) / 2
        for value, chosen in zip(np.nan_to_num(values, nan=-1e9), positive, strict=True)
        if chosen
        for other in np.nan_to_num(clean, nan=-1e9)
    ]
    return float(np.mean(won))


def test_every_area_is_that_of_all_pairs() -> None:
    groups = {group.name: group for group in judge(SCORES, OPS, "score", ["base"])}
    assert [*groups] == ["all", "char", "char.swap", "label", "label.flip", "word", "word.swap"]
    assert {group.negatives for group in groups.values()} == {40}
    assert groups["word.swap"].figures == {}  # 4 rows are too few
    for name, group in groups.items():
        positive = [name == "all" or any(op == name or op.startswith(f"{name}.") for op in own) for own in OPS]
        positive = [chosen and bool(own) for chosen, own in zip(positive, OPS, strict=True)]
        assert group.positives == sum(positive)
        for score, figure in group.figures.items():
            assert figure.value == pytest.approx(area(SCORES[score], positive)), (name, score)
            assert figure.low <= figure.value <= figure.high
        if group.figures:
            expected = group.figures["score"].value - group.figures["base"].value
            assert group.differences["base"].value == pytest.approx(expected)


def test_what_is_weak_is_called_weak() -> None:
    said = sentences(judge(SCORES, OPS, "score", ["base"]), "score", {"base": "a baseline"})
    assert [one.split(",")[0] for one in said] == ["char.swap: no better than chance", "label.flip: good"]
    assert "beats a baseline (0." in said[1]
    middling = {**SCORES, "score": SCORES["base"] + 0.5 * FLIPPED}
    (_, flipped) = sentences(judge(middling, OPS, "score", ["base"]), "score", {"base": "a baseline"})
    assert flipped.startswith("label.flip: weak, AUROC 0.7")


def test_without_an_edit_there_is_nothing_to_judge() -> None:
    assert judge(SCORES, [()] * len(OPS), "score", ["base"]) == []
