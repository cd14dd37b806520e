"""Imports: the same version again from an export in any format or a copy; whatever was changed is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_common.files import canonical
from lope_data.builds import Options, build, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store import Store, Version, as_manifest, expected_id, seal
from lope_data.transfer import importing as importing
from lope_data.transfer.exporting import export
from lope_data.transfer.importing import import_folder

FORMATS = ("parquet", "jsonl", "hf")
METADATA = ["{}", None, f'{{"a":{2**70},"b":[1,"x"]}}', '{"b":[],"a":null}']


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def brought(folder: Path, store: Store) -> Version:
    return import_folder(folder, store, print, lambda *_: None)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", FORMATS)
def test_it_is_the_same_version_byte_for_byte(
    kind: str, options: Options, make_recipe: Callable[..., Recipe], other: Store, tmp_path: Path
) -> None:
    options = dataclasses.replace(options, shard_rows=None)
    clean = ingest("sample", Recipe(), None, options)
    version = build(clean, make_recipe(ratio=0.3), None, options)
    export(version, kind, tmp_path / "out", lambda *_: None)
    found = brought(tmp_path / "out", other)
    assert not found.existed
    assert found.ref == version.ref == other.resolve(version.manifest.name).ref
    assert files(found.folder) == files(version.folder)  # of equal libraries, cut alike
    again = brought(tmp_path / "out", other)
    assert again.existed
    assert again.ref == version.ref
    assert sorted(path.name for path in found.folder.parent.iterdir()) == sorted([found.folder.name, "refs"])


@pytest.mark.parametrize("kind", FORMATS)
def test_every_shape_and_type_comes_back(kind: str, options: Options, other: Store, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "good day"}]
    rows = pa.table(
        {
            "instruction": ["Add two and three.", None, None, None] * 9,
            "input": ["", None, None, None] * 9,
            "output": ["5", None, None, None] * 9,
            "question": [None, "Which?", None, None] * 9,
            "choices": [None, ["one", "two"], None, None] * 9,
            "answer": [None, 1, None, None] * 9,
            "text": pa.array([None, None, "a good film", None] * 9, pa.large_string()),
            "label": [None, None, "yes", None] * 9,
            "messages": [None, None, None, talk] * 9,
            "score": [0.5, float("nan"), None, float("inf")] * 9,
            "metadata": pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(METADATA * 9)),
            "when": pa.array([1, None, 3, 4] * 9, pa.timestamp("ms", "UTC")),
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.5}, {"name": "more", "ratio": 0.2, "mix": "char.swap"}]})
    clean = ingest(str(tmp_path / "rows.parquet"), recipe, None, options)
    for version in (clean, build(clean, recipe, None, options)):
        export(version, kind, tmp_path / version.manifest.name, lambda *_: None)
        found = brought(tmp_path / version.manifest.name, other)
        assert found.manifest.content_digest == version.manifest.content_digest
        assert found.rows.schema.equals(version.rows.schema)
        assert found.edits.equals(version.edits)


def test_edits_go_with_their_rows_wherever_it_is_cut(
    noisy: Callable[..., Version], other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = noisy(ratio=0.5)
    export(version, "parquet", tmp_path / "out", lambda *_: None)
    monkeypatch.setattr(importing, "shard_rows", lambda rows: 37)
    found = brought(tmp_path / "out", other)
    assert len(list(found.folder.glob("*.arrow"))) == -(-version.manifest.rows // 37)
    assert found.manifest.content_digest == version.manifest.content_digest
    for data, edits in zip(
        sorted(found.folder.glob("*.arrow")), sorted(found.folder.glob("edits/*.parquet")), strict=True
    ):
        ids = pa.ipc.open_stream(data.read_bytes()).read_all()["lope_row_id"].to_pylist()
        assert set(pq.read_table(edits)["row_id"].to_pylist()) <= set(ids)


def test_a_plain_copy_and_unknown_keys_are_taken(other: Store, tmp_path: Path, golden: Version) -> None:
    copy = shutil.copytree(golden.folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["x-new"] = {"a": [1]}
    manifest["parents"][0]["x-new"] = True
    (copy / "manifest.json").write_bytes(canonical(seal(manifest)))
    found = brought(copy, other)
    said = found.manifest.plain
    assert said["x-new"] == {"a": [1]}
    assert said["parents"] == manifest["parents"]
    for key in ("report", "recipe", "hints", "content_digest", "version", "source"):
        assert said[key] == manifest[key]


def changed(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    edit(manifest)
    (folder / "manifest.json").write_bytes(canonical(seal(manifest)))


def other_text(folder: Path) -> None:
    if (folder / "rows.parquet").exists():
        rows = pq.read_table(folder / "rows.parquet")
        texts = [text and text.replace("e", "é") for text in rows["instruction"].to_pylist()]
        pq.write_table(rows.set_column(0, "instruction", pa.array(texts)), folder / "rows.parquet")
    elif (folder / "rows.jsonl").exists():
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8")
        (folder / "rows.jsonl").write_text(lines.replace("eight", "nine"), encoding="utf-8")
    else:
        path = next(folder.glob("*.arrow"))
        path.write_bytes(path.read_bytes().replace(b"eight", b"right"))


def data_file(folder: Path) -> Path:
    return next(path for path in sorted(folder.iterdir()) if path.name.startswith(("rows.", "data-")))


def fewer_edits(folder: Path) -> None:
    path = next(folder.glob("edits/*.parquet"))
    pq.write_table(pq.read_table(path).slice(1), path)


def foreign_edits(folder: Path) -> None:
    path = next(folder.glob("edits/*.parquet"))
    pq.write_table(pq.read_table(path).append_column("x", pa.nulls(pq.read_metadata(path).num_rows)), path)


def edit_of_no_row(folder: Path) -> None:
    path = max(folder.glob("edits/*.parquet"))
    edits = pq.read_table(path)
    last = edits.slice(len(edits) - 1)
    pq.write_table(pa.concat_tables([edits, last.set_column(0, "row_id", pa.array(["no row"]))]), path)


def linked(path: Path) -> None:
    path.rename(path.parents[1] / "elsewhere")
    path.symlink_to(path.parents[1] / "elsewhere")


def linked_edits(folder: Path) -> None:
    (folder / "edits").rename(folder.parent / "edits-elsewhere")
    (folder / "edits").symlink_to(folder.parent / "edits-elsewhere")


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "text": (other_text, "cannot be read|are not those of its manifest"),
    "cut short": (lambda f: data_file(f).write_bytes(data_file(f).read_bytes()[:-200]), "cannot be read|line|those of"),
    "empty": (lambda f: data_file(f).write_bytes(b""), "cannot be read|holds no rows"),
    "no rows": (lambda f: data_file(f).unlink(), "missing"),
    "no edits": (lambda f: shutil.rmtree(f / "edits"), "are not those of its manifest"),
    "fewer edits": (fewer_edits, "are not those of its manifest"),
    "other columns": (foreign_edits, "has other columns than a file of edits"),
    "an edit of no row": (edit_of_no_row, "are not those of its manifest"),
    "a link": (lambda f: linked(data_file(f)), "is a link"),
    "links": (linked_edits, "is a link"),
    "manifest": (lambda f: (f / "manifest.json").unlink(), "is not a version"),
    "another seed": (lambda f: changed(f, lambda m: m.update(seed=1)), "is not that of its recipe and parents"),
    "another digest": (
        lambda f: changed(f, lambda m: m.update(content_digest="sha256:" + "0" * 64)),
        "their digest is another",
    ),
    "more rows": (lambda f: changed(f, lambda m: m.update(rows=25)), "says 25 rows|those of its manifest"),
    "fewer rows": (lambda f: changed(f, lambda m: m.update(rows=23)), "says 23 rows|those of its manifest"),
    "another name": (lambda f: changed(f, lambda m: m.update(name="../../out")), "name: "),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("what", WRONG)
def test_what_was_changed_is_refused_and_the_store_stays_as_it_was(
    what: str, kind: str, tmp_path: Path, other: Store, golden: Version, golden_store: Store
) -> None:
    break_it, said = WRONG[what]
    brought(golden_store.resolve("rows").folder, other)
    before = {path for path in other.root.rglob("*") if ".locks" not in path.parts}
    export(golden, kind, tmp_path / "out", lambda *_: None)
    break_it(tmp_path / "out")
    if kind == "jsonl" and what == "no rows":
        said = "missing|cannot be read"
    with pytest.raises(StoreError, match=said):
        brought(tmp_path / "out", other)
    assert {path for path in other.root.rglob("*") if ".locks" not in path.parts} == before


def test_a_folder_with_columns_that_no_version_has(tmp_path: Path, other: Store, golden: Version) -> None:
    for kind in (pa.binary(), pa.dictionary(pa.int8(), pa.string())):
        export(golden, "parquet", tmp_path / str(kind)[:4], lambda *_: None)
        path = tmp_path / str(kind)[:4] / "rows.parquet"
        pq.write_table(pq.read_table(path).append_column("x", pa.array([None] * 24).cast(kind)), path)
        with pytest.raises(StoreError, match="which no version holds"):
            brought(path.parent, other)
        pq.write_table(pq.read_table(path).drop_columns(["lope_ops"]), path)
        with pytest.raises(StoreError, match="have no column 'lope_ops'"):
            brought(path.parent, other)


def test_a_version_that_says_something_else_is_not_taken_for_it(tmp_path: Path, other: Store, golden: Version) -> None:
    brought(golden.folder, other)
    copy = shutil.copytree(golden.folder, tmp_path / "copy")
    changed(copy, lambda manifest: manifest.update(hints={"embedding_alpha": 0.9}))
    with pytest.raises(StoreError, match="is in the store already, with another 'hints'"):
        brought(copy, other)


def test_an_import_that_was_killed_leaves_nothing_that_a_build_would_go_on_with(
    noisy: Callable[..., Version], tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = noisy(ratio=0.3)
    export(version, "parquet", tmp_path / "out", lambda *_: None)
    digest = version.manifest.content_digest
    shutil.rmtree(version.folder)
    other_rows = pq.read_table(tmp_path / "out" / "rows.parquet")
    ops = pa.array([["x"]] * len(other_rows))
    at = other_rows.schema.get_field_index("lope_ops")
    pq.write_table(other_rows.set_column(at, "lope_ops", ops), tmp_path / "out" / "rows.parquet")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_folder(tmp_path / "out", store, print, killed)
    assert store.find(version.manifest.name, version.manifest.version) is None
    assert noisy(ratio=0.3).manifest.content_digest == digest


def test_a_manifest_that_names_a_true_id_of_its_own_is_still_held_to_its_digest(
    tmp_path: Path, other: Store, golden: Version
) -> None:
    export(golden, "parquet", tmp_path / "out", lambda *_: None)
    changed(tmp_path / "out", lambda m: m.update(seed=1))
    changed(tmp_path / "out", lambda m: m.update(version=expected_id(as_manifest(m, tmp_path))))
    found = brought(tmp_path / "out", other)  # consistent, so a version; verify --replay is what tells
    assert found.manifest.seed == 1


def test_the_command_line(lope_data: Callable[..., Any], tmp_path: Path, golden: Version) -> None:
    store = golden.folder.parents[1]
    assert lope_data("export", "golden", "--as", "version", "--store", store, "--out", "out").code == 0
    done = lope_data("import", "out", "--store", "new")
    assert (done.code, done.out.splitlines()[0]) == (0, golden.ref)
    assert Path(done.out.splitlines()[-1]).samefile(tmp_path / "new" / "golden" / golden.manifest.version)
    assert "exists: nothing to do" in lope_data("import", "out", "--store", "new").out
    assert "there is none" not in lope_data("verify", "golden", "--store", "new").out
    for kind, out in (("jsonl", "rows.jsonl"), ("hf", "rows")):
        assert lope_data("export", "golden", "--store", store, "--to", kind, "--out", out).code == 0
        refused = lope_data("import", out, "--store", "new").refusal
        assert "is not a version" in refused
        assert f"lope_data ingest {out}" in refused
    assert lope_data("import", "nowhere", "--store", "new").code == 2
