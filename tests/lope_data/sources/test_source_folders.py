"""Folders: shards of one kind as one table, saved datasets, and what is neither; and what is not on the disk at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source
from lope_data.sources.hub import table_fingerprint


def lines(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def rows_of(path: Path, **reading: Any) -> list[dict[str, Any]]:
    return list(open_source(str(path), Reading(**reading)).read().to_pylist())


def test_columns_are_joined_by_name(tmp_path: Path) -> None:
    lines(tmp_path / "b.jsonl", {"text": "b", "n": 0.5})
    lines(tmp_path / "a.jsonl", {"text": "a", "n": 1}, {"text": "aa", "n": None})
    lines(tmp_path / "c.jsonl", {"label": "x", "text": "c"})
    assert rows_of(tmp_path) == [
        {"label": None, "text": "a", "n": "1", "lope_keys": ["text", "n"]},  # JSON, since Arrow has no type for both
        {"label": None, "text": "aa", "n": None, "lope_keys": ["text", "n"]},
        {"label": None, "text": "b", "n": "0.5", "lope_keys": ["text", "n"]},
        {"label": "x", "text": "c", "n": None, "lope_keys": ["label", "text"]},
    ]
    for i, number in enumerate((1, 0.5)):  # of files with types, one that holds both without a change
        pq.write_table(pa.table({"text": ["a"], "n": [number]}), tmp_path / f"{i}.parquet")
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert rows_of(tmp_path) == [{"text": "a", "n": 1.0}, {"text": "a", "n": 0.5}]


def test_dictionaries_of_several_files(tmp_path: Path) -> None:
    for i, words in enumerate((["a", "b"], ["c"])):
        pq.write_table(pa.table({"text": pa.array(words).dictionary_encode()}), tmp_path / f"{i}.parquet")
    assert rows_of(tmp_path) == [{"text": "a"}, {"text": "b"}, {"text": "c"}]


def test_a_column_of_two_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": ["x"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"label": [1]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b.parquet, column 'label': int64, where the files before it hold string"):
        rows_of(tmp_path)


def test_kinds_that_are_mixed_or_unknown(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"not one that datasets.Dataset.save_to_disk wrote, and without files"):
        open_source(str(tmp_path))
    (tmp_path / "a.log").write_text("x 1")
    with pytest.raises(SourceError, match="without files of a kind that can be read"):
        open_source(str(tmp_path))
    assert rows_of(tmp_path, pattern=r"(?P<text>\w) (?P<label>\d)") == [{"text": "x", "label": "1"}]
    (tmp_path / "a.txt").write_text("x 1\n\ny 2")
    assert rows_of(tmp_path) == [{"text": "x 1"}, {"text": ""}, {"text": "y 2"}]
    lines(tmp_path / "a.jsonl", {"a": 1})
    (tmp_path / "b.jsonl.gz").write_bytes(b"")
    with pytest.raises(SourceError, match=re.escape("holds files of several kinds (a.jsonl, b.jsonl.gz)")):
        open_source(str(tmp_path))


def test_the_fingerprint_of_a_folder(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", {"a": 1})
    first = open_source(str(tmp_path)).fingerprint
    (tmp_path / "README.md").write_text("no row")
    assert open_source(str(tmp_path)).fingerprint == first
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    renamed = open_source(str(tmp_path)).fingerprint
    lines(tmp_path / "c.jsonl", {"a": 1})
    assert len({first, renamed, open_source(str(tmp_path)).fingerprint}) == 3


def test_a_saved_dataset_that_names_files_outside(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "s")
    state = tmp_path / "s" / "state.json"
    said = json.loads(state.read_text())
    said["_data_files"] = [{"filename": "../other.arrow"}]
    state.write_text(json.dumps(said))
    with pytest.raises(SourceError, match=r"names '../other.arrow', which is not a file of this folder"):
        rows_of(tmp_path / "s")


@pytest.mark.parametrize("content", ["{", "[]", '{"_data_files": 5}', "null"])
def test_a_damaged_saved_dataset(tmp_path: Path, content: str) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "s")
    (tmp_path / "s" / "state.json").write_text(content)
    with pytest.raises(SourceError, match="cannot be read as a saved dataset"):
        rows_of(tmp_path / "s")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no.jsonl.gz", "no such file or folder"),
        ("nobody/nothing", "no such file, embedded sample (sample, sample-heldout) or dataset on the hub"),
        ("../x/y/z", "no such file or folder"),
        ("a\0b", "cannot be read"),
    ],
)
def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=re.escape(message)):
        open_source(source)


def test_a_device_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").symlink_to(os.devnull)
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(str(tmp_path / "r.jsonl"))


def test_the_fingerprint_of_rows_from_the_hub() -> None:
    table = pa.table({"text": pa.chunked_array([["a"], ["b", None]])}).replace_schema_metadata({"huggingface": "{}"})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, pa.schema([("text", pa.string())])) as writer:
        writer.write_table(table.combine_chunks())
    assert table_fingerprint(table) == f"sha256:{hashlib.sha256(file.getvalue()).hexdigest()}"
