"""The same rows from every kind of source, and ids that rows keep."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.errors import SourceError
from lope_data.rows import (
    ABSENT,
    KEYS,
    ROW_ID,
    SHAPE,
    Columns,
    Layout,
    as_json,
    ingest_table,
    is_json,
    put_targets,
    targets_of,
)
from lope_data.sources import open_source
from lope_data.sources.sample import FINGERPRINTS
from lope_data.sources.sample_data import SPLITS
from lope_data.sources.text import COMPRESSIONS

KINDS = ["r.json", "r.jsonl", "r.ndjson", "r.csv", "r.tsv", "r.parquet", "r.arrow", "r.stream.arrow", "saved", "shards"]
PACKED = ["r.json.gz", "r.jsonl.gz", "r.csv.zst", "r.tsv.bz2", "R.JSONL.ZST"]
ROWS = [{"text": f'a, "text"\nnumber {i} é', "label": "xy"[i % 2]} for i in range(20)]


def write(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    if path.suffix.lower() in COMPRESSIONS:
        plain = path.with_name(path.stem.lower())
        write(plain)
        path.write_bytes(pack(plain.read_bytes(), path.suffix.lower()))
        return
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
        new = pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table)
    elif path.name == "shards":
        path.mkdir()
        (path / "README.md").write_text("not a shard")
        (path / ".hidden.jsonl").write_text("not a shard")
        for i, part in enumerate((ROWS[:7], ROWS[7:])):
            (path / f"part-{i}.jsonl").write_text("\n".join(map(json.dumps, part)), encoding="utf-8")
    else:
        datasets.Dataset(table).save_to_disk(path)


def pack(data: bytes, suffix: str) -> bytes:
    if suffix == ".zst":
        return bytes(pa.compress(data, "zstd", asbytes=True))
    return (gzip if suffix == ".gz" else bz2).compress(data)


def ingested(path: Path, columns: Columns | None = None, shape: str | None = None) -> pa.Table:
    source = open_source(str(path))
    return ingest_table(source.read(), source.where, shape, columns or Columns(), None, 0)


@pytest.mark.parametrize("name", KINDS + PACKED)
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


def test_class_labels_keep_their_numbers_and_names(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    made = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    made.save_to_disk(tmp_path / "s")
    made.to_parquet(tmp_path / "r.parquet")
    for name in ("s", "r.parquet"):
        rows = ingested(tmp_path / name)
        assert rows["label"].to_pylist() == [1, -1]
        assert Layout.of(rows).classes == {"label": ("neg", "pos")}
        assert targets_of(rows, "class").table["target"].to_pylist() == ["pos", None]


def test_an_answer_counts_the_choices_whatever_its_classes_are_called(tmp_path: Path) -> None:
    """As in MMLU on the hub."""
    answer = datasets.ClassLabel(names=["A", "B", "C"])
    text = datasets.Value("string")
    features = datasets.Features({"question": text, "choices": datasets.List(text), "answer": answer})
    columns = {"question": ["q", "r"], "choices": [["x", "y", "z"]] * 2, "answer": [1, 2]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "s")
    rows = ingested(tmp_path / "s")
    assert targets_of(rows, "choice").table["target"].to_pylist() == ["1", "2"]
    changed = put_targets(rows, "choice", np.array([1]), pa.array(["0"], pa.large_string()))
    assert changed["answer"].to_pylist() == [1, 0]


def test_texts_in_a_column_of_json_are_texts(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Json(), "label": datasets.Value("string")})
    made = datasets.Dataset.from_dict({"text": ["a b", "ü"], "label": ["x", "y"]}, features=features)
    made.to_parquet(tmp_path / "r.parquet")
    rows = ingested(tmp_path / "r.parquet")
    assert rows.schema.field("text").type == pa.large_string()
    assert rows["text"].to_pylist() == ["a b", "ü"]


@pytest.mark.parametrize("text", ["{bad", "", "1 2"])
def test_json_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """Also where the rows have ids, so that nothing else reads it."""
    table = pa.table({"key": ["b", "a"], "text": ["a", "b"], "m": as_json(pa.array(["1", text]))})
    pq.write_table(table, tmp_path / "r.parquet")
    with pytest.raises(SourceError, match=r"r.parquet, row 1: column 'm' is not valid JSON"):
        open_source(str(tmp_path / "r.parquet")).read()


def test_files_whose_class_labels_mean_different_things(tmp_path: Path) -> None:
    for number, names in enumerate((["neg", "pos"], ["pos", "neg"])):
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        made = datasets.Dataset.from_dict({"text": ["a"], "label": [1]}, features=features)
        made.to_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(SourceError, match=r"1.parquet: its class labels have other names than those of .*0.parquet"):
        ingested(tmp_path)


def test_json_of_a_saved_dataset_is_read(tmp_path: Path) -> None:
    """Wherever it stands in a column."""
    metas: list[Any] = [{"a": 1}, {"b": [1.5, None]}]
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.Value("string")})
    features |= {"meta": datasets.Json(), "metas": datasets.List(datasets.Json())}
    columns = {"text": ["a", "b"], "label": ["x", "y"], "meta": metas, "metas": [metas, []]}
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    made.save_to_disk(tmp_path / "s")
    made.to_parquet(tmp_path / "r.parquet")
    for name in ("s", "r.parquet"):
        rows = ingested(tmp_path / name)
        assert [json.loads(text) for text in rows["meta"].to_pylist()] == metas
        assert [json.loads(text) for text in rows["metas"].to_pylist()] == [metas, []]


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ([3, 0], ["3", "0"]),
        ([True, False], ["true", "false"]),
        ([0.5, 1.0], ["0.5", "1.0"]),
        ([["a", "b"], []], ['["a","b"]', "[]"]),
        (["a", None], ["a", None]),
        ([1, "a"], ["1", '"a"']),
        ([10**30, 1], [str(10**30), "1"]),
    ],
)
def test_labels_keep_their_types(tmp_path: Path, labels: list[Any], texts: list[str]) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"text": f"t{i}", "label": label} for i, label in enumerate(labels)]))
    rows = ingested(tmp_path / "r.json")
    held = rows["label"].to_pylist()
    assert ([json.loads(text) for text in held] if is_json(rows["label"].type) else held) == labels
    found = targets_of(rows, "class")
    assert found.table["target"].to_pylist() == texts
    swapped = put_targets(rows, "class", found.places, pa.array(texts[::-1], pa.large_string()))
    assert swapped["label"].type == rows["label"].type
    assert swapped["label"].to_pylist() == held[::-1]


def test_columns_map_other_names(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"prompt": "p", "response": "r", "uid": 7, "extra": 1.5}]))
    rows = ingested(tmp_path / "r.json", Columns(instruction="prompt", output="response", id="uid"))
    assert rows.to_pylist()[0] | {"lope_ops": []} == {
        "prompt": "p", "response": "r", "uid": 7, "extra": 1.5,
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
    rows = {"text": ["a", "b"], "label": ["x", "y"]}
    pq.write_table(pa.table(rows | {"raw": [b"a", b"b"]}), tmp_path / "r.parquet")
    with pytest.raises(SourceError, match="column 'raw': a version cannot hold binary; drop or convert it"):
        ingested(tmp_path / "r.parquet")
    times = pa.array([0, 1], pa.timestamp("s", "Nowhere/Land"))
    pq.write_table(pa.table(rows | {"at": times, "id": [1, 2]}), tmp_path / "r.parquet")
    with pytest.raises(SourceError, match=r"column 'at': a version cannot hold timestamp\[.*Nowhere/Land"):
        ingested(tmp_path / "r.parquet", Columns(id="id"))
    vectors = pa.array([[0.0, 1.0]] * 2, pa.list_(pa.float32(), 2))
    pq.write_table(pa.table(rows | {"vector": vectors}), tmp_path / "r.parquet")
    assert ingested(tmp_path / "r.parquet")["vector"].type == pa.list_(pa.float32())


@pytest.mark.parametrize("name", SPLITS)
def test_the_fingerprints_of_the_samples(name: str) -> None:
    """They are written down; what they are written for has not changed."""
    assert open_source(name).fingerprint == FINGERPRINTS[name]
    assert len(open_source(name).read()) > 0  # compares them with the rows


def test_opening_a_source_imports_nothing_slow(tmp_path: Path) -> None:
    write(tmp_path / "r.csv")
    write(tmp_path / "saved")
    code = (
        "import sys; from lope_data.sources import open_source\n"
        "for source in sys.argv[1:]: open_source(source)\n"
        "slow = {'numba', 'polars', 'pandas', 'datasets', 'pyarrow'} & sys.modules.keys(); assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "r.csv", tmp_path / "saved", "sample"], check=True)


@pytest.mark.parametrize("name", ["r.jsonl.gz", "r.csv.zst", "r.json.bz2"])
def test_an_archive_cut_short(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match=f"{name}: cannot be read as {name[2:]}"):
        open_source(str(path)).read()


def test_parquet_in_an_archive(tmp_path: Path) -> None:
    (tmp_path / "r.parquet.gz").write_bytes(b"x")
    with pytest.raises(SourceError, match="parquet files are compressed inside; unpack it"):
        open_source(str(tmp_path / "r.parquet.gz"))


def test_parquet_takes_no_columns_from_the_names_of_folders(tmp_path: Path) -> None:
    (tmp_path / "label=x").mkdir()
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "label=x" / "r.parquet")
    assert open_source(str(tmp_path / "label=x" / "r.parquet")).read().column_names == ["text"]


def test_arrow_text_that_is_not_text(tmp_path: Path) -> None:
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    with pa.ipc.new_file(tmp_path / "r.arrow", pa.schema([("text", pa.string())])) as writer:
        writer.write_table(pa.table({"text": text}))
    with pytest.raises(SourceError, match=r"r.arrow: damaged \(.*UTF8"):
        open_source(str(tmp_path / "r.arrow")).read()


def test_a_file_says_nothing_of_keys_that_are_absent(tmp_path: Path) -> None:
    """That is noted in metadata by the reader of JSON, and by no stranger."""
    for said in (b"[", b'["text"]'):
        rows = pa.table({"text": ["a", "b"], "label": ["x", None]}).replace_schema_metadata({ABSENT: said})
        pq.write_table(rows, tmp_path / "r.parquet")
        assert Layout.of(ingested(tmp_path / "r.parquet")).absent == ()
    pq.write_table(rows.append_column(KEYS, pa.array([["text"]] * 2)), tmp_path / "r.parquet")
    with pytest.raises(SourceError, match="'lope_keys' has a name that versions use"):
        ingested(tmp_path / "r.parquet")


def test_choices_from_several_columns(ingest_rows: Callable[..., pa.Table]) -> None:
    rows = [{"a": f"first {i}", "question": "q", "b": f"second {i}", "answer": i % 2} for i in range(3)]
    table = ingest_rows(rows, columns=Columns(choices=("b", "a")))
    assert table.column_names[:4] == ["a", "question", "b", "answer"]  # as they were
    choices = targets_of(table, "choice").table["choices"].to_pylist()
    assert choices == [[f"second {i}", f"first {i}"] for i in range(3)]
    rows[1]["b"] = None
    with pytest.raises(SourceError, match="rows, row 1: 'b' is null"):
        ingest_rows(rows, columns=Columns(choices=("a", "b")))
    with pytest.raises(SourceError, match="column 'n': a choice is text, not int64"):
        ingest_rows([row | {"n": 1} for row in rows], columns=Columns(choices=("a", "n")))


def test_what_is_json_is_called_so() -> None:
    mixed = as_json(pa.array(["1", '"a"']))
    table = pa.table({"text": ["a", "b"], "label": ["x", "y"], "key": mixed})
    with pytest.raises(SourceError, match="ids must be strings or integers, not JSON"):
        ingest_table(table, "rows", None, Columns(id="key"), None, 0)
    table = pa.table({"question": ["a", "b"], "x": ["x", "y"], "y": mixed, "answer": [0, 1]})
    with pytest.raises(SourceError, match="column 'y': a choice is text, not JSON"):
        ingest_table(table, "rows", None, Columns(choices=("x", "y")), None, 0)


def test_an_answer_that_is_no_number(ingest_rows: Callable[..., pa.Table]) -> None:
    rows = [{"question": "q", "choices": ["a", "b"], "answer": answer} for answer in ("0", "1", "B", "C")]
    with pytest.raises(SourceError, match="row 2, column 'answer': \"B\" is not int64"):
        ingest_rows(rows)


def test_nesting_that_no_file_holds(ingest_rows: Callable[..., pa.Table]) -> None:
    value: Any = 1
    for _ in range(60):
        value = [value]
    with pytest.raises(SourceError, match="column 'deep': nested more than 40 deep"):
        ingest_rows([{"text": "a", "label": "x", "deep": value}])


def test_text_beyond_what_32_bits_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lope_data.rows.canonical.WIDE", 1000)
    rows = pa.chunked_array([["a" * 600], ["b" * 600]])
    table = ingest_table(pa.table({"text": rows, "label": ["x", "y"]}), "rows", None, Columns(), None, 0)
    assert table.schema.field("text").type == pa.large_string()
    assert table.schema.field("label").type == pa.string()
    assert table["text"].to_pylist() == rows.to_pylist()
