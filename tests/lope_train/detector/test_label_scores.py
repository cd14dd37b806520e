"""`score` of labels: wrong ones come first, the list has the likeliest other, and what cannot be judged is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lope_data
from lope_train.cli import main
from lope_train.data import resolve
from lope_train.detector.classes import reason

Families = Callable[[str], Path]


LABELS = ["animal", "colour", "number"] * 20
WRONG = {3: "colour", 14: "animal", 25: "number", 33: "number", 40: "animal", 52: "colour", 59: "animal"}


@pytest.fixture
def store(labelled: Callable[..., None], tmp_path: Path) -> Path:
    labelled(tmp_path / "store", "rows", [WRONG.get(number, label) for number, label in enumerate(LABELS)])
    return tmp_path / "store"


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_wrong_labels_come_first(
    family: str, tiny_of: Families, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    asked = ["score", "--model", str(tiny_of(family)), "--data", "rows", "--store", str(store)]
    asked += ["--head", "classification", "--lr", "0.01", "--folds", "3", "--max-length", "16", "--out", str(out)]
    main([*asked, "--json"])
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["head"] == "classification"
    rows = pl.read_csv(out / "rows.csv")
    assert rows.columns == [
        *("rank", "row_id", "score", "reason", "label", "target", "weight"),
        *("self_confidence", "gce_loss", "margin", "loss"),
    ]
    given = {row["lope_row_id"]: row["label"] for row in resolve("rows", store).views()}
    assert dict(zip(rows["row_id"], rows["label"], strict=True)) == given
    assert (rows["label"] != rows["target"]).all()
    found = [row for row in rows.head(len(WRONG)).iter_rows(named=True) if int(row["row_id"][6:]) in WRONG]
    assert len(found) >= 5  # of 7; by chance one
    assert sum(row["target"] == LABELS[int(row["row_id"][6:])] for row in found) >= 5
    before = (out / "measured.jsonl").read_bytes()
    main([*asked, "--top", "3"])
    assert (out / "measured.jsonl").read_bytes() == before
    assert pl.read_csv(out / "rows.csv").height == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores", "store"]


def test_rows_of_which_nothing_can_be_learned_are_counted(
    tiny_of: Families, labelled: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["score", "--model", str(tiny_of("bert")), "--store", str(tmp_path), "--epochs", "1", "--folds", "2"]
    labelled(tmp_path, "single", ["a", "b", "a", "b", "rare", "a"])
    main([*asked, "--data", "single", "--out", str(tmp_path / "one")])
    assert json.loads((tmp_path / "one" / "scores.json").read_text())["left_out"] == {"of a class with one row": 1}
    labelled(tmp_path, "all", ["a", "b", "c"])
    labelled(tmp_path, "same", ["a", "a", "a"])
    for name, said in (("all", "no row to score: 3 of a class with one row"), ("same", "at least two classes")):
        with pytest.raises(SystemExit, match="2"):
            main([*asked, "--data", name, "--out", str(tmp_path / "x")])
        error = capsys.readouterr().err.splitlines()[-1]
        assert said in error
        assert not [path for path in tmp_path.iterdir() if path.name.endswith(("x", "x.partial", "x.lock"))]


def test_texts_that_are_cut_are_counted(tiny_of: Families, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": "cat dog " * (1 + 4 * (number == 3)), "label": "ab"[number % 2]} for number in range(6)]
    lope_data.ingest(rows, name="long", store=tmp_path)
    asked = ["score", "--model", str(tiny_of("bert")), "--store", str(tmp_path), "--epochs", "1", "--folds", "2"]
    main([*asked, "--data", "long", "--out", str(tmp_path / "one"), "--max-length", "8"])
    assert re.search(r"long@\w+: 1 texts cut to 8 tokens", capsys.readouterr().err)


def test_the_reason_names_both_classes() -> None:
    row: dict[str, Any] = {
        "self_confidence": 0.96,
        "gce_loss": 3.0,
        "margin": 2.0,
        "label": "a",
        "target": "b",
        "p": 0.9,
    }
    assert reason("self_confidence", row, 0.2) == (
        "a model that has not seen the row gives 'a' p 0.04, usual 0.8, and 'b' 0.9"
    )
    assert "does not learn 'a'" in reason("gce_loss", row, 0.1)
    assert reason("margin", row, -3.0) == "in training 'a' is learned late, against 'b': margin -2, usual 3"
