"""The Croissant description, as the validator of mlcroissant reads it, and the rows and edits that it reads by it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_common.files import described
from lope_data.store.croissant import croissant
from lope_data.store.manifest_model import File, Layout
from lope_data.store.store import Store
from lope_data.store.version import Version
from lope_data.transfer import export

mlc = pytest.importorskip("mlcroissant")
GOLDEN = Store(Path(__file__).parents[2] / "golden" / "store")
RECOMMENDED = {"citeAs", "datePublished", "license", "MAJOR.MINOR.PATCH"}  # unknown; and our versions are digests


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("absl").setLevel(logging.ERROR)


def opened(description: dict[str, Any], folder: Path) -> Any:
    """What mlcroissant makes of the description; raises where it finds an error."""
    (folder / "croissant.json").write_text(json.dumps(description), encoding="utf-8")
    dataset = mlc.Dataset(folder / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert all(any(word in text for word in RECOMMENDED) for text in issues.warnings), issues.report()
    return dataset


@pytest.mark.parametrize("ref", ["golden", "rows"])
def test_a_version_is_accepted_with_its_parents(ref: str, tmp_path: Path) -> None:
    version = GOLDEN.resolve(ref)
    manifest = version.manifest
    metadata = opened(croissant(manifest, version.rows.schema, manifest.files), tmp_path).metadata
    assert (metadata.name, metadata.version) == (manifest.name, manifest.version)
    assert {node.id: (node.sha256, node.content_size) for node in metadata.file_objects} == {
        file.path: (file.sha256, f"{file.bytes} B") for file in manifest.files
    }
    derived = metadata.to_json()["prov:wasDerivedFrom"]
    derived = derived if isinstance(derived, list) else [derived]
    expected = [(f"{link.name}@{link.version}", link.content_digest) for link in manifest.parents]
    source = manifest.source.fingerprint
    assert [(node["@id"], node["identifier"]) for node in derived] == [*expected, (source, source)]
    assert {field.name for field in metadata.record_sets[0].fields} == set(version.rows.column_names)


def test_what_a_build_writes_is_accepted(noisy: Callable[..., Version]) -> None:
    version = noisy(ratio=0.1)
    dataset = mlc.Dataset(str(version.folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert len(list(dataset.records("edits"))) == len(version.edits)


def test_it_reads_the_edits_of_a_version_and_the_rows_of_an_export(tmp_path: Path) -> None:
    version = GOLDEN.resolve("golden")
    export(version, "parquet", tmp_path / "out", lambda *_: None)
    dataset = mlc.Dataset(tmp_path / "out" / "croissant.json")
    rows = [_text(row, "rows/") for row in dataset.records("rows")]
    assert rows == version.rows.to_pylist()
    edits = [_text(edit, "edits/") for edit in dataset.records("edits")]
    assert edits == version.edits.to_pylist()


def _text(record: Any, prefix: str) -> Any:
    """A record of mlcroissant, which gives text as bytes and fields by their ids."""
    if isinstance(record, dict):
        return {key.removeprefix(prefix).split("/")[-1]: _text(value, prefix) for key, value in record.items()}
    if isinstance(record, list):
        return [_text(value, prefix) for value in record]
    return record.decode() if isinstance(record, bytes) else record


def test_json_and_the_numbers_of_classes(tmp_path: Path) -> None:
    meta = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}', None]))
    rows = pa.table({"lope_row_id": ["a", "b"], "meta": meta, "label": [0, 1], "tags": [[1], [0, 1]]})
    pq.write_table(rows.set_column(1, "meta", meta.storage), tmp_path / "rows.parquet")
    files = [File(**described(tmp_path, "rows.parquet"))]
    layout = {"columns": {}, "classes": {"label": ["no", "yes"], "tags[]": ["x", "y"]}, "absent": [], "raw": []}
    manifest = GOLDEN.resolve("rows").manifest.model_copy(update={"layout": Layout.model_validate(layout)})
    dataset = opened(croissant(manifest, rows.schema, files, "rows.parquet"), tmp_path)
    fields = {field.name: field for field in dataset.metadata.record_sets[0].fields}
    assert fields["label"].description == "Numbers of classes: 0 no, 1 yes."
    assert fields["tags"].description == "Numbers of classes: 0 x, 1 y."
    assert fields["meta"].description == "JSON texts."
    assert _text(next(iter(dataset.records("rows"))), "rows/")["meta"] == '{"a":1}'


def test_columns_of_every_type(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "a"}, {"role": None, "content": "b"}]
    rows = pa.table(
        {
            "lope_row_id": ["a", "b"],
            "messages": [chat, []],
            "odd name <x>/\n é": [1.5, 2.5],
            "tags": [["x", "y"], None],
            "one": [{"n": 1, "flag": True}, {"n": 2, "flag": False}],
            "small": pa.array([1, 2], pa.uint8()),
            "day": pa.array([1, 2], pa.date32()),
            "conversations": [[chat], [[]]],
            "odd inside": [{"a b": 1}, {"a b": 2}],
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    files = [File(**described(tmp_path, "rows.parquet"))]
    manifest = GOLDEN.resolve("rows").manifest
    dataset = opened(croissant(manifest, rows.schema, files, "rows.parquet"), tmp_path)
    first = _text(next(iter(dataset.records("rows"))), "rows/")
    assert first["messages"] == chat
    assert first["tags"] == ["x", "y"]
    assert first["one"] == {"n": 1, "flag": True}
    assert first["column:2"] == 1.5
    description = dataset.metadata.record_sets[0].description
    assert "deeper than Croissant's fields: conversations, odd inside." in description
