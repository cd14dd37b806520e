"""What every form has in common: the columns that stay, rows of several shapes, and the count of what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.builds import Options, build, ingest
from lope_data.forms import FORMS, shaping
from lope_data.recipe import Recipe
from lope_data.rows import Columns
from lope_data.store import Version
from lope_data.transfer import export_rows
from tests.lope_data.forms.rows import CALLS, CHOICE, HISTORY, INSTRUCTION, LABELLED, TALK, said


def lines(version: Version, form: str, out: Path) -> list[dict[str, Any]]:
    export_rows(version, FORMS[form], "jsonl", out, lambda *_: None)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_lines_have_only_the_keys_that_a_row_has(version_of: Callable[..., Version], tmp_path: Path) -> None:
    rows = [CALLS, {**said("a b", "c"), "n": None}, {**said("a b", "c"), "n": 1}]
    found = lines(version_of(rows), "messages", tmp_path / "out.jsonl")
    assert found == rows
    assert [list(row) for row in found] == [["messages", "tools"], ["messages", "n"], ["messages", "n"]]


def test_rows_of_several_shapes(version_of: Callable[..., Version], tmp_path: Path) -> None:
    version = version_of([INSTRUCTION, TALK, CHOICE, HISTORY])
    found = lines(version, "messages", tmp_path / "out.jsonl")
    assert [list(row) for row in found] == [
        ["messages", "source"],
        ["messages", "id"],
        ["messages", "choices", "answer"],
        ["messages"],
    ]
    table = version.to_dataset("messages")
    assert table.column_names == ["messages", "source", "id", "choices", "answer"]
    assert [len(row["messages"]) for row in table] == [2, 5, 2, 5]


def test_rows_of_several_shapes_from_a_table(tmp_path: Path, options: Options) -> None:
    """Where no row lacks a key: null in the columns of other shapes."""
    rows = {"instruction": ["Add.", None], "output": ["5", None], "prompt": [None, "a b"], "completion": [None, "c"]}
    pq.write_table(pa.table({**rows, "n": pa.array([None, 1])}), tmp_path / "rows.parquet")
    version = ingest(str(tmp_path / "rows.parquet"), Recipe(), None, options)
    found = lines(version, "alpaca", tmp_path / "out.jsonl")
    assert found == [
        {"instruction": "Add.", "input": "", "output": "5", "n": None},
        {"instruction": "a b", "input": "", "output": "c", "n": 1},
    ]
    assert version.to_dataset("alpaca").to_list() == found


def test_a_column_with_a_name_of_the_form_is_refused(refused: Callable[..., str]) -> None:
    said_ = refused("alpaca", [{**TALK, "output": "mine"}])
    assert "its column 'output' would stand beside the 'output' of alpaca; rename it in the source" in said_
    mixed = [INSTRUCTION, {**CHOICE, "output": "mine"}]
    assert "(multiple_choice): its column 'output' is not that of alpaca" in refused("alpaca", mixed)


def test_all_rows_that_do_not_fit_are_counted(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, version_of: Callable[..., Version]
) -> None:
    monkeypatch.setattr(shaping, "_ROWS", 3)
    rows = [said(f"a b {n}", "c") for n in range(10)] + [CALLS, LABELLED] * 2
    first = version_of(rows).rows["lope_row_id"].to_pylist()[10]
    line = refused("alpaca", rows)
    assert "4 of 14 rows cannot be written as alpaca" in line
    assert f"The first is {first} (chat): " in line
    assert line.endswith("--as messages holds conversations of any kind, --as source every row")


def test_noise_is_in_it(version_of: Callable[..., Version], options: Options) -> None:
    clean = version_of([said(f"How many owls are there in town {n}?", "Nobody knows.") for n in range(50)])
    noisy = build(clean, Recipe.model_validate({"steps": [{"ratio": 0.5, "mix": "char"}]}), None, options)
    pairs = list(zip(clean.to_dataset("alpaca"), noisy.to_dataset("alpaca"), strict=True))
    assert sum(one["instruction"] != other["instruction"] for one, other in pairs) == 25
    assert all(one["output"] == other["output"] for one, other in pairs)


@pytest.mark.parametrize("form", [form for form in FORMS.values() if not form.is_source], ids=lambda form: form.name)
def test_a_form_takes_what_shapes_have(form: Any) -> None:
    assert {name for taken in form.takes.values() for name in taken} <= Columns.model_fields.keys()
    assert (form.keys, form.about) != ((), "")


@pytest.mark.parametrize("column", ["messages", "conversations"])
def test_what_readers_differ_about_is_text_under_any_name(
    column: str, version_of: Callable[..., Version], tmp_path: Path
) -> None:
    messages = [{"role": "user", "content": "a b", "n": 10**30}, {"role": "assistant", "content": "c", "n": {"d": 1}}]
    version = version_of([{column: messages}])
    export_rows(version, FORMS["messages"], "hf", tmp_path / "hf", lambda *_: None)
    for table in (version.to_dataset("messages"), datasets.load_from_disk(str(tmp_path / "hf"))):
        assert json.loads(table[0]["messages"]) == messages


def test_a_made_column_has_no_classes_of_the_source(tmp_path: Path, options: Options) -> None:
    columns = {"text": datasets.Value("string"), "completion": datasets.ClassLabel(names=["bad", "good"])}
    rows = {"text": ["a film", "a book"], "completion": [1, 0]}
    datasets.Dataset.from_dict(rows, features=datasets.Features(columns)).save_to_disk(tmp_path / "films")
    recipe = Recipe(columns=Columns(text="text", label="completion"))
    table = ingest(str(tmp_path / "films"), recipe, None, options).to_dataset("prompt-completion")
    assert table.to_list() == [
        {"prompt": "a film", "completion": "good"},
        {"prompt": "a book", "completion": "bad"},
    ]
    assert table.features["completion"] == datasets.Value("string")
