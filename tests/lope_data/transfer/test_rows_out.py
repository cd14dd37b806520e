"""Rows for other tools: a file in each format with the source's types, whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.builds import Options, build, ingest
from lope_data.errors import StoreError
from lope_data.forms import FORMS
from lope_data.recipe import Recipe
from lope_data.store import Store, Version, verify_version
from lope_data.transfer.exporting import export
from lope_data.transfer.importing import import_folder
from lope_data.transfer.rows_out import FORMATS, export_rows

FEATURES = datasets.Features(
    {
        "label": datasets.ClassLabel(names=["neg", "pos"]),
        "text": datasets.Value("large_string"),
        "tags": datasets.List(datasets.ClassLabel(names=["x", "y"])),
        "good": datasets.Value("bool"),
        "day": datasets.Value("date32"),
        "stars": datasets.Value("int8"),
    }
)
ROWS = [
    {"label": 1, "text": "a good film", "tags": [0, 1], "good": True, "day": date(2020, 2, 29), "stars": 5},
    {"label": 0, "text": 'a "bad", film', "tags": [], "good": None, "day": None, "stars": None},
] * 20


def silent(*_: object) -> None:
    """No bar."""


@pytest.fixture
def typed(tmp_path: Path, options: Options) -> Version:
    """Rows of many types with noise in the texts alone."""
    datasets.Dataset.from_list(ROWS, features=FEATURES).save_to_disk(str(tmp_path / "typed"))
    clean = ingest(str(tmp_path / "typed"), Recipe(), None, options)
    return build(clean, Recipe.model_validate({"steps": [{"ratio": 0.5, "mix": "char"}]}), None, options)


@pytest.mark.parametrize("kind", ["parquet", "hf"])
def test_types_and_names_of_classes_come_back(typed: Version, tmp_path: Path, kind: str) -> None:
    export_rows(typed, FORMS["source"], kind, tmp_path / "out", silent)
    if kind == "hf":
        back = datasets.load_from_disk(str(tmp_path / "out"))
    else:
        files, cache = str(tmp_path / "out"), str(tmp_path / "cache")
        back = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    assert back.features == FEATURES
    assert list(back.features) == list(FEATURES)
    assert [{**row, "text": ""} for row in back] == [{**row, "text": ""} for row in ROWS]
    assert sum(row["text"] != old["text"] for row, old in zip(back, ROWS, strict=True)) == typed.manifest.touched > 5


def test_csv(typed: Version, tmp_path: Path) -> None:
    export_rows(typed, FORMS["source"], "csv", tmp_path / "out.csv", silent)
    data = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert data.startswith('"label","text","tags","good","day","stars"\n')
    for mine, row in zip(csv.DictReader(data.splitlines()), typed.rows.to_pylist(), strict=True):
        assert mine["text"] == row["text"]
        assert json.loads(mine["tags"]) == row["tags"]
        assert mine["good"] == {True: "true", None: ""}[row["good"]]
        assert mine["label"] == str(row["label"])
    assert data.splitlines()[2].endswith('"[]",,,')  # null


def test_json_in_every_format(tmp_path: Path, options: Options) -> None:
    lines = ['{"text": "a b", "label": "x", "meta": {}}', '{"text": "c d", "label": "y", "meta": {"a": [1, "x"]}}']
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    version = ingest(str(tmp_path / "rows.jsonl"), Recipe(), None, options)
    for kind in ("parquet", "csv", "hf"):
        export_rows(version, FORMS["source"], kind, tmp_path / kind, silent)
    wanted = [json.loads(line) for line in lines]
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "parquet"), split="train", cache_dir=cache)
    assert list(loaded) == wanted
    assert list(datasets.load_from_disk(str(tmp_path / "hf"))) == wanted
    cells = list(csv.DictReader((tmp_path / "csv").read_text().splitlines()))
    assert [json.loads(row["meta"]) for row in cells] == [row["meta"] for row in wanted]


def test_json_of_arrow_stays_on_its_line(tmp_path: Path, options: Options) -> None:
    pretty = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(['{\r\n "a": 1.0\n}', None]))
    pq.write_table(pa.table({"text": ["a b", "c d"], "label": ["x", "y"], "meta": pretty}), tmp_path / "rows.parquet")
    version = ingest(str(tmp_path / "rows.parquet"), Recipe(), None, options)
    export_rows(version, FORMS["source"], "jsonl", tmp_path / "out.jsonl", silent)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert [row["meta"] for row in found] == [{"a": 1.0}, None]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("form", ["source", "text"])
def test_lope_columns_where_they_are_asked_for(golden: Version, tmp_path: Path, kind: str, form: str) -> None:
    rows = golden.rows.filter(pa.compute.equal(golden.rows["lope_shape"], "classification"))
    version = Version(golden.folder, golden.manifest)
    vars(version)["rows"] = rows
    for asked in (False, True):
        out = tmp_path / f"{asked}.{kind}"
        export_rows(version, FORMS[form], kind, out, silent, lope_columns=asked)
        names = _names(out, kind)
        assert names[-3:] == ["lope_row_id", "lope_shape", "lope_ops"] if asked else not any("lope" in n for n in names)


def _names(out: Path, kind: str) -> list[str]:
    if kind == "jsonl":
        return list(json.loads(out.read_text(encoding="utf-8").splitlines()[0]))
    if kind == "csv":
        return next(csv.reader([out.read_text(encoding="utf-8").splitlines()[0]]))
    if kind == "hf":
        return list(datasets.load_from_disk(str(out)).column_names)
    return list(pq.read_schema(out).names)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_whole_or_not_there(golden: Version, tmp_path: Path, kind: str) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_rows(golden, FORMS["source"], kind, tmp_path / "out", stop)
    assert not [*tmp_path.iterdir()]
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StoreError, match="exists; remove it"):
        export_rows(golden, FORMS["source"], kind, tmp_path / "out", silent)
    with pytest.raises(StoreError, match="cannot write"):
        export_rows(golden, FORMS["source"], kind, tmp_path / "out" / "inner", silent)
    with pytest.raises(StoreError, match="16 of 24 rows cannot be written as text") as refused:
        export_rows(golden, FORMS["text"], kind, tmp_path / "texts", silent)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "mine"


def test_a_version_that_was_changed_is_not_sent_out(noisy: Callable[..., Version], tmp_path: Path) -> None:
    version = noisy(ratio=0.1)
    path = version.folder / version.data_files[0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="is not the file that its manifest lists"):
        export_rows(version, FORMS["source"], "jsonl", tmp_path / "out", silent)


def test_the_command_line(lope_data: Callable[..., Any], tmp_path: Path, golden: Version) -> None:
    store, name = golden.folder.parents[1], f"golden-{golden.manifest.version}"
    done = lope_data("export", "golden", "--store", store)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"{name}.jsonl")
    own = [column for column in golden.rows.column_names if not column.startswith("lope_")]
    first = json.loads((tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first.keys() <= {*own}
    assert "exists" in lope_data("export", "golden", "--store", store).refusal
    assert lope_data("export", "golden", "--store", store, "--out", "a/b.parquet").code == 0
    assert pq.read_schema(tmp_path / "a" / "b.parquet").names == own
    assert lope_data("export", "golden", "--store", store, "--to", "hf", "--lope-columns").code == 0
    assert "lope_ops" in datasets.load_from_disk(str(tmp_path / f"{name}-hf")).column_names
    assert "cannot be written as alpaca" in lope_data("export", "golden", "--store", store, "--as", "alpaca").refusal


def test_a_whole_version_with_json_is_the_same_again(tmp_path: Path, options: Options) -> None:
    """What `push` sends, too."""
    rows = [{"text": f"row {n} of some", "label": "ab"[n % 2], "meta": [{}, {"a": n}][n % 2]} for n in range(40)]
    lines = [json.dumps(row) for row in rows]
    lines[3] = '{"label": "a", "text": "another order here"}'
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    clean = ingest(str(tmp_path / "rows.jsonl"), Recipe(), None, options)
    noisy = build(clean, Recipe.model_validate({"steps": [{"ratio": 0.5}]}), None, options)
    for kind in ("parquet", "jsonl", "hf"):
        export(noisy, kind, tmp_path / kind, silent)
        found = import_folder(tmp_path / kind, Store(tmp_path / f"store-{kind}"), print, silent)
        assert found.rows.equals(noisy.rows)
        assert verify_version(found.folder, silent)[1] == []
