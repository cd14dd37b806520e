"""The same rows from every kind of source, and ids that rows keep."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.errors import SourceError
from lope_data.ingest import ingest_table
from lope_data.recipe import Columns
from lope_data.shapes import ROW_ID, SHAPE
from lope_data.source import open_source

ROWS = [{"text": f'a, "text"\nnumber {i} é', "label": "xy"[i % 2]} for i in range(20)]


def write(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    if path.suffix == ".json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", encoding="utf-8")
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["text", "label"], delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            writer.writerows(ROWS)
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        datasets.Dataset(table).save_to_disk(path)


def ingested(path: Path, columns: Columns | None = None, shape: str | None = None) -> pa.Table:
    source = open_source(str(path))
    return ingest_table(source.read(), source.where, shape, columns or Columns(), None, 0)


@pytest.mark.parametrize("name", ["r.json", "r.jsonl", "r.ndjson", "r.csv", "r.tsv", "r.parquet", "r.arrow", "saved"])
def test_every_kind_of_source_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    write(tmp_path / "first.json")
    rows = ingested(tmp_path / name)
    assert [{"text": row["text"], "label": row["label"]} for row in rows.to_pylist()] == ROWS
    assert rows.select([ROW_ID, SHAPE]).equals(ingested(tmp_path / "first.json").select([ROW_ID, SHAPE]))


def test_the_fingerprint_covers_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write(path)
    before = open_source(str(path)).fingerprint
    path.write_text(path.read_text() + " ")
    assert open_source(str(path)).fingerprint != before


def test_class_labels_become_their_names(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features).save_to_disk(tmp_path / "s")
    assert ingested(tmp_path / "s")["label"].to_pylist() == ["pos", None]


def test_integer_labels_and_answers_from_text(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"text": "a", "label": 3}]))
    assert ingested(tmp_path / "r.json")["label"].to_pylist() == ["3"]


def test_columns_map_other_names(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"prompt": "p", "response": "r", "uid": 7, "extra": 1.5}]))
    rows = ingested(tmp_path / "r.json", Columns(instruction="prompt", output="response", id="uid"))
    assert rows.to_pylist()[0] | {"lope_ops": []} == {
        "instruction": "p", "output": "r", "uid": 7, "extra": 1.5,
        "lope_row_id": "7", "lope_shape": "instruction", "lope_ops": [],
    }  # fmt: skip


def test_shapes_are_recognised_row_by_row(ingest_rows: Callable[..., pa.Table]) -> None:
    rows = [
        {"instruction": "i", "output": "o"},
        {"question": "q", "choices": ["a", "b"], "answer": 1},
        {"text": "t", "label": "l"},
    ]
    assert ingest_rows(rows)[SHAPE].to_pylist() == ["instruction", "multiple_choice", "classification"]
    with pytest.raises(Exception, match="rows, row 0: 'text' is null"):
        ingest_rows(rows, shape="classification")


def test_row_ids_are_content_and_occurrence(ingest_rows: Callable[..., pa.Table]) -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}, {"text": "a", "label": "x"}]
    ids = ingest_rows(rows)[ROW_ID].to_pylist()
    assert ids[2] == f"{ids[0]}-1"
    assert len(set(ids)) == 3
    assert ingest_rows(rows[1:])[ROW_ID].to_pylist() == [ids[1], ids[0]]
    mixed = [*rows, {"question": "q", "choices": ["a", "b"], "answer": 1}]  # other columns do not change an id
    assert ingest_rows(mixed)[ROW_ID].to_pylist()[:3] == ids


def test_row_ids_are_golden(ingest_rows: Callable[..., pa.Table]) -> None:
    """They are promised for ever: every chain hangs on them."""
    rows = [
        {"instruction": "Añade 1", "input": None, "output": ""},
        {"question": "q", "choices": ["a", None], "answer": 1},
    ]
    assert ingest_rows(rows)[ROW_ID].to_pylist() == [
        "ffd8081ab5236f466cae29db728fb00d",
        "a6b265295057a870c452a4c44ec9039f",
    ]


def test_a_name_that_neither_disk_nor_hub_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"nobody/nothing: no such file, embedded sample .* or dataset on the hub"):
        open_source("nobody/nothing")


def test_what_a_version_cannot_hold_is_refused(tmp_path: Path) -> None:
    vectors = pa.array([[0.0, 1.0]] * 2, pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"], "vector": vectors}), tmp_path / "r.parquet")
    with pytest.raises(SourceError, match="column 'vector': a version cannot hold"):
        ingested(tmp_path / "r.parquet")


def test_a_mapped_name_that_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"body": "a", "text": "b", "label": "x"}]))
    with pytest.raises(SourceError, match="maps 'body' to 'text', which is there already"):
        ingested(tmp_path / "r.json", Columns(text="body"))
