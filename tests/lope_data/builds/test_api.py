"""The Python face: `lope_data.open` and `lope_data.build`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lope_data
from lope_data.store import read_manifest

Cli = Callable[..., Any]


def recipe(**step: Any) -> lope_data.Recipe:
    return lope_data.Recipe.model_validate({"steps": [step]})


def test_build_makes_what_the_command_line_makes(lope_data: Cli, tmp_path: Path) -> None:
    import lope_data as package

    typed = lope_data("build", "--limit", "60", "--ratio", "0.5", "--store", "one", "--json").json
    version = package.build(recipe(ratio=0.5), limit=60, store=tmp_path / "two")
    assert version.ref == f"{typed['name']}@{typed['version']}"
    assert version.manifest == read_manifest(Path(typed["path"]))
    assert package.build(recipe(ratio=0.5), limit=60, store=str(tmp_path / "two"), workers=2).ref == version.ref


def test_open_gives_dataset_manifest_edits_and_parent(tmp_path: Path) -> None:
    built = lope_data.build(recipe(ratio=0.5, mix="char.delete"), limit=60, store=tmp_path)
    version = lope_data.open("sample-60-hynoise", store=tmp_path)
    assert version.ref == built.ref
    assert version.manifest.touched == 30
    touched = version.dataset.filter(lambda row: bool(row["lope_ops"]))
    assert len(touched) == 30
    assert set(version.edits["row_id"].to_pylist()) == set(touched["lope_row_id"])
    assert version.parent is not None
    assert version.parent.ref == lope_data.open("sample-60", store=tmp_path).ref
    assert version.parent.parent is None
    assert [link.ref for link in version.lineage] == [version.ref, version.parent.ref]


def test_what_datasets_makes_of_the_rows_stays_out_of_the_version(tmp_path: Path) -> None:
    version = lope_data.build(recipe(ratio=0.5), limit=60, store=tmp_path)
    before = sorted(version.folder.rglob("*"))
    version.dataset.map(lambda row: {"length": len(row["lope_row_id"])})
    assert sorted(version.folder.rglob("*")) == before


def test_a_parent_may_be_a_version_or_a_reference(tmp_path: Path) -> None:
    nois = lope_data.build(recipe(ratio=0.1), limit=60, name="nois", store=tmp_path)
    one = lope_data.build(recipe(ratio=0.2), parent=nois, name="more", store=tmp_path)
    assert lope_data.build(recipe(ratio=0.2), parent="nois", name="more", store=tmp_path).ref == one.ref
    assert [link.name for link in one.manifest.parents] == ["nois", "sample-60"]


def test_a_source_of_ones_own(tmp_path: Path) -> None:
    rows = [{"text": f"sentence number {i}", "label": "ab"[i % 2]} for i in range(20)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    version = lope_data.build(recipe(ratio=0.5), source=str(tmp_path / "mine.jsonl"), store=tmp_path / "store")
    assert version.manifest.source.name == "mine"


@pytest.mark.parametrize(
    ("more", "message"), [({"source": "sample"}, "exclude each other"), ({"limit": 5}, "a limit is for a source")]
)
def test_a_source_and_a_parent_exclude_each_other(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match=message):
        lope_data.build(parent="nois", store=tmp_path, **more)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match="no dataset 'nope'"):
        lope_data.open("nope", store=tmp_path)
