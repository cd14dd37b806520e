"""The Python face: `lope_data.open` and `lope_data.build`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lope_data
from lope_common.files import canonical
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
    ("more", "message"),
    [({"source": "sample"}, "exclude each other"), ({"limit": 5}, r"limit \(--limit\) is for a source")],
)
def test_a_source_and_a_parent_exclude_each_other(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match=message):
        lope_data.build(parent="nois", store=tmp_path, **more)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match="no dataset 'nope'"):
        lope_data.open("nope", store=tmp_path)


def one_line(error: pytest.ExceptionInfo[lope_data.LopeDataError]) -> str:
    text = str(error.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": "2"}, "workers must be 1 or more, as a whole number below 2**63, not '2'"),
        ({"workers": True}, "workers must be 1 or more"),
        ({"workers": 0}, "workers must be 1 or more"),
        ({"shard_rows": 2.0}, "shard_rows must be 1 or more"),
        ({"limit": 1.5}, "limit must be 1 or more, as a whole number below 2**63, not 1.5"),
        ({"limit": 2**63}, "limit must be 1 or more"),
        ({"name": 3}, "name must be text, not 3"),
        ({"name": ""}, "'' cannot be the name of a dataset"),
        ({"recipe": 5}, "recipe must be a lope_data.Recipe, a dict, or a name or file, not 5"),
        ({"recipe": {"ratio": 0.1}}, "the recipe: ratio: unknown key 'ratio'"),
        ({"imports": "nowhere.py"}, "cannot import nowhere.py: No such file or directory"),
        ({"imports": [5]}, "imports must hold files and names of modules, not 5"),
        ({"source": 5}, "source must be a file, a folder, a hub id, a Dataset"),
        ({"source": b"rows.json"}, "source must be a file, a folder, a hub id, a Dataset"),
        ({"parent": 7}, "parent must be text, not 7"),
        ({"store": 7}, "store must be text, not 7"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(
    wrong: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lope_data.LopeDataError) as error:
        lope_data.build(**wrong)
    assert one_line(error).startswith(message)
    shared = wrong.keys() - {"name", "parent"}
    if shared:
        with pytest.raises(lope_data.LopeDataError) as error:
            lope_data.ingest(**{"source": "sample", **wrong})
        assert one_line(error).startswith(message)
    if shared <= {"source", "recipe"} and shared:
        with pytest.raises(lope_data.LopeDataError) as error:
            lope_data.preview(**wrong)
        assert one_line(error).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_reference_or_seed_is_named(tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match="ref must be text, not 3"):
        lope_data.open(3, store=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(lope_data.LopeDataError, match="seed: an integer is needed, not 'x'"):
        lope_data.corrupt(["some text"], "char.delete", seed="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [("../x", "cannot be the name"), ("refs", "cannot be the name"), ("mine", "is the parent's name")],
)
def test_a_bad_name_leaves_nothing_in_the_store(lope_data: Cli, tmp_path: Path, name: str, message: str) -> None:
    import lope_data as package

    (tmp_path / "mine.jsonl").write_text('{"text": "a word or two", "label": "x"}\n' * 9)
    with pytest.raises(package.LopeDataError, match=message) as error:
        package.build(source=tmp_path / "mine.jsonl", name=name, store="store")
    run = lope_data("build", "--source", "mine.jsonl", "--name", name, "--store", "store")
    assert (run.code, run.out, run.err) == (2, "", f"error: {error.value}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]


@pytest.mark.parametrize("given", [{"limit": 60}, {"source": "sample"}, {}])
def test_a_name_that_would_be_too_long_leaves_nothing_in_the_store(given: dict[str, Any], tmp_path: Path) -> None:
    long = lope_data.Recipe(name="r" * 95)
    with pytest.raises(lope_data.LopeDataError, match="cannot be the name"):
        lope_data.build(long, store=tmp_path / "store", **given)
    assert not (tmp_path / "store").exists()


def test_a_parents_name_is_refused_before_the_store_is_touched(tmp_path: Path) -> None:
    parent = lope_data.ingest("sample", limit=60, store=tmp_path / "store")
    with pytest.raises(lope_data.LopeDataError, match="is the parent's name"):
        lope_data.build(parent=parent, name="sample-60", store=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_ingest_and_build_say_whether_it_was_there(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    clean = lope_data.ingest("sample", limit=60, store=tmp_path, progress=lambda *what: told.append(what))
    assert not clean.existed
    assert told[-1] == ("ingest sample-60", 1, 1)
    assert lope_data.ingest("sample", limit=60, store=tmp_path).existed
    noisy = lope_data.build(recipe(ratio=0.5), parent=clean, shard_rows=20, store=tmp_path)
    assert not noisy.existed
    assert len(noisy.data_files) == 3
    again = lope_data.build(recipe(ratio=0.5), limit=60, store=tmp_path)
    assert again.existed
    assert again == noisy
    assert lope_data.open(noisy.ref, store=tmp_path).existed


def test_noise_is_not_put_on_a_parent_that_was_damaged_since(tmp_path: Path) -> None:
    clean = lope_data.ingest("sample", limit=60, store=tmp_path)
    shard = clean.folder / clean.data_files[0]
    data = shard.read_bytes()
    shard.write_bytes(data.replace(b"the", b"teh", 1))
    assert shard.read_bytes() != data
    with pytest.raises(lope_data.LopeDataError, match="is not the file that its manifest lists"):
        lope_data.build(recipe(ratio=0.5), parent=clean, store=tmp_path)


def test_preview_shows_what_build_makes_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = lope_data.preview(recipe(ratio=0.1))
    assert list(tmp_path.iterdir()) == []
    version = lope_data.build(recipe(ratio=0.1), store=tmp_path)
    assert shown.edits == version.edits
    assert (len(shown.noisy), shown.rows, shown.shortfall) == (version.manifest.touched, version.manifest.rows, 0)


def test_a_manifest_is_read_by_attributes_and_holds_its_json(tmp_path: Path) -> None:
    version = lope_data.build(recipe(ratio=0.5), limit=60, store=tmp_path)
    manifest = version.manifest
    assert manifest.kind == "build"
    assert manifest.parents[0].ref == lope_data.open("sample-60", store=tmp_path).ref
    assert manifest.steps[0].ratio == 0.5
    assert manifest.plain == json.loads((version.folder / "manifest.json").read_bytes())
    assert canonical(manifest.plain) == (version.folder / "manifest.json").read_bytes()


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")


def _deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(3000):
        found = [found]
    return found


WRONG: list[Any] = [
    *(None, 3, -1, 2**70, 3.5, float("nan"), True, b"x", "\0", "\ud800", "x" * 5000, object(), int),
    *([], {}, set(), (), [None], [[]], {1: 2}, {"steps": _deep()}, _deep(), range(3), iter([]), Unshown()),
    *(np.float64(0.1), np.int64(3), np.array([1]), np.array("x"), Path("/nowhere/x"), lambda: 1),
]
CALLS: dict[str, dict[str, Any]] = {
    "open": {"ref": "rows"},
    "ingest": {"source": "rows.jsonl"},
    "ingest_splits": {"source": "rows.jsonl"},
    "build": {"source": "rows.jsonl"},
    "build_splits": {"source": "rows.jsonl"},
    "preview": {"source": "rows.jsonl"},
    "corrupt": {"texts": ["some text to change"], "op": "char.swap"},
    "list_ops": {},
    "Recipe": {},
}


@pytest.mark.filterwarnings("ignore::lope_data.ShortfallWarning")
@pytest.mark.parametrize("name", CALLS)
def test_whatever_is_given_the_error_is_our_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"text": "one text of a few words", "label": "a"}\n' * 20)
    lope_data.ingest("rows.jsonl")
    call = getattr(lope_data, name)
    said = []
    for argument in inspect.signature(call).parameters:
        for wrong in WRONG:
            try:
                call(**(CALLS[name] | {argument: wrong}))
            except lope_data.LopeDataError as error:
                said.append(str(error))
    assert len(said) > len(WRONG) / 2
    assert [text for text in said if not text.isprintable()] == []


def test_what_is_called_must_be_a_function(tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match="progress must be a function, not 3"):
        lope_data.build(progress=3, store=tmp_path)  # type: ignore[arg-type]


def test_a_version_is_opened_by_its_folder(tmp_path: Path) -> None:
    version = lope_data.ingest("sample", limit=60, store=tmp_path)
    assert lope_data.Version.at(str(version.folder)) == version
    for wrong in (3, None, b"x", "\0", tmp_path / "no"):
        with pytest.raises(lope_data.LopeDataError):
            lope_data.Version.at(wrong)  # type: ignore[arg-type]
