"""Transition matrices: read by names, in any order, and refused in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lope_train.data.transitions import estimate_transition, read_transition
from lope_train.errors import SettingsError

CLASSES = ("a", "b", "c")
ROWS = {"c": {"c": 0.5, "a": 0.5}, "a": {"a": 0.9, "b": 0.1}, "b": {"b": 1}}
MATRIX = [[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]


def test_json_and_csv_are_read_by_the_names_of_classes(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(ROWS))
    (tmp_path / "t.csv").write_text("true,c,a,b\nb,0,0,1\na,0,.9,.1\n\nc,0.5,0.5,0\n")
    for name in ("t.json", "t.csv"):
        assert read_transition(tmp_path / name, CLASSES) == MATRIX


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({**ROWS, "d": {"a": 1}}), "unknown class 'd'"),
        (json.dumps({**ROWS, "a": {"a": 0.5, "B": 0.5}}), "unknown class 'B'"),
        (json.dumps({"a": {"a": 1}, "b": {"b": 1}}), "lacks the class 'c'"),
        (json.dumps({**ROWS, "b": {"b": 0.9}}), "the row of 'b' sums to 0.9, not to 1"),
        (json.dumps({**ROWS, "b": {"b": 1.2, "a": -0.2}}), "'b' as 'a' is -0.2, not a probability"),
        (json.dumps({**ROWS, "b": {"b": "x"}}), "'b' as 'b' is 'x', not a number"),
        (json.dumps({**ROWS, "b": {"b": True}}), "'b' as 'b' is nan, not a probability"),
        (json.dumps({**ROWS, "b": {"b": None}}), "'b' as 'b' is None, not a number"),
        (json.dumps({**ROWS, "c": {"a": 1.0}}), "no class is given as 'c'"),
        ('{"a": {"a": NaN}, "b": {"b": 1}, "c": {"c": 1}}', "'a' as 'a' is nan, not a probability"),
        ("[1]", "must be a JSON object of objects"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_what_is_no_transition_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"^transition {re.escape(str(path))}: .*{re.escape(said)}"):
        read_transition(path, CLASSES)


def test_a_table_with_a_ragged_or_double_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text, said in (("true,a,b\na,1\n", "has 2 fields of 3"), ("true,a\na,1\na,1\n", "two lines are of 'a'")):
        path.write_text(text)
        with pytest.raises(SettingsError, match=said):
            read_transition(path, CLASSES)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_transition(tmp_path / "none.csv", CLASSES)
    path.write_text("")
    with pytest.raises(SettingsError, match="lacks the class 'a'"):
        read_transition(path, CLASSES)


TRUE = np.array([[0.7, 0.2, 0.1, 0.0], [0.05, 0.9, 0.0, 0.05], [0.0, 0.4, 0.6, 0.0], [0.1, 0.1, 0.1, 0.7]])


def given(rows: int, spread: float) -> tuple[Any, Any, float]:
    """Labels given by `TRUE`, what models that know the classes (but for `spread`) say, and the share that is wrong."""
    rng = np.random.default_rng(3)
    true = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])
    labels = np.array([rng.choice(4, p=TRUE[one]) for one in true])
    logits = np.log(TRUE[true] + 1e-3) + spread * rng.normal(size=(rows, 4))
    said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, said, float((labels != true).mean())


@pytest.mark.parametrize(("spread", "within"), [(0.0, 0.02), (0.3, 0.06)])
def test_a_transition_is_found_again(spread: float, within: float) -> None:
    labels, said, wrong = given(20_000, spread)
    matrix, rate = estimate_transition(labels, said)
    assert np.abs(np.array(matrix) - TRUE).max() < within
    assert rate == pytest.approx(wrong, abs=within)
    assert np.array(matrix).sum(1) == pytest.approx(1)


def test_without_noise_it_is_the_identity_and_a_class_that_is_never_sure_too() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    said = np.eye(3)[labels] * 0.9 + 0.1 / 3
    assert np.array(estimate_transition(labels, said)[0]) == pytest.approx(np.eye(3))
    matrix, rate = estimate_transition(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]))
    assert np.array(matrix).sum(1) == pytest.approx(1)
    assert 0 <= rate < 1
