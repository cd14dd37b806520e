"""Versions are read by FORMAT.md alone; whatever is not as it was written is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_train.data import versions
from lope_train.errors import VersionError


@pytest.fixture
def store(tiny_store: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_store, tmp_path / "store"))


def folder_of(store: Path, name: str) -> Path:
    return store / name / (store / name / "refs/latest").read_text().strip()


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and give it the hash it then should have."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    manifest.pop("manifest_sha256")
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    manifest["manifest_sha256"] = hashlib.sha256(f"{text}\n".encode()).hexdigest()
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    file.write_text(f"{text}\n")


def test_every_form_of_reference_gives_the_same_version(tiny_store: Path) -> None:
    folder = folder_of(tiny_store, "tiny-noisy")
    forms = ["tiny-noisy", "tiny-noisy@latest", f"tiny-noisy@{folder.name}", f"tiny-noisy@{folder.name[:6]}"]
    found = {versions.resolve(ref, tiny_store).ref for ref in [*forms, str(folder)]}
    assert found == {f"tiny-noisy@{folder.name}"}


def test_a_version_says_what_its_manifest_says(tiny_store: Path) -> None:
    version = versions.resolve("tiny-noisy", tiny_store)
    rows = version.dataset()
    assert (version.rows, len(rows), version.embedding_alpha) == (24, 24, 0.05)
    assert rows[0]["instruction"] == "Nmae the capital of France."
    assert versions.resolve("tiny", tiny_store).embedding_alpha is None


def test_the_parent_holds_the_clean_rows(tiny_store: Path) -> None:
    clean = versions.parent(versions.resolve("tiny-noisy", tiny_store), tiny_store)
    assert clean.name == "tiny"
    assert clean.dataset()[0]["instruction"] == "Name the capital of France."
    with pytest.raises(VersionError, match="has no parent"):
        versions.parent(clean, tiny_store)


def test_a_parent_is_found_beside_a_version_given_by_its_folder(tiny_store: Path, tmp_path: Path) -> None:
    version = versions.resolve(str(folder_of(tiny_store, "tiny-noisy")), tmp_path / "no-such-store")
    assert versions.parent(version, tmp_path / "no-such-store").name == "tiny"


def test_the_default_store_is_the_variable_then_the_folder(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOPE_STORE", raising=False)
    with pytest.raises(VersionError, match="no store at lope-store"):
        versions.resolve("tiny")
    monkeypatch.setenv("LOPE_STORE", str(tiny_store))
    assert versions.resolve("tiny").name == "tiny"


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (
            "tiny-nosy",
            r"no dataset 'tiny-nosy'; did you mean 'tiny-noisy'\?; make it with `python -m lope_data",
        ),
        ("tiny@v1", r"'tiny' has no version 'v1'; known: [0-9a-f]{16}, latest"),
        ("tiny@ffff", "has no version 'ffff'"),
        ("../x", r"\.\./x: not a version \(no manifest.json there\)"),
        ("tiny/../../x", "not a version"),
        ("tiny@../../x", "not a version"),
        ("..", "not a version"),
        ("refs", "not a dataset reference"),
        ("tiny@", "not a dataset reference"),
        ("", "not a dataset reference"),
        ("a\nb", "not a dataset reference"),
        ("tiny\n", "not a dataset reference"),
    ],
)
def test_references_that_lead_nowhere_or_outside(tiny_store: Path, ref: str, message: str) -> None:
    with pytest.raises(VersionError, match=message):
        versions.resolve(ref, tiny_store)


def test_a_missing_store_names_it_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=r"no store at .*nowhere.*python -m lope_data build"):
        versions.resolve("tiny", tmp_path / "nowhere")


def test_a_ref_file_cannot_lead_outside(store: Path) -> None:
    (store / "tiny/refs/latest").write_text("../tiny-noisy/" + folder_of(store, "tiny-noisy").name)
    with pytest.raises(VersionError, match="not a version of 'tiny'"):
        versions.resolve("tiny", store)


def test_an_ambiguous_prefix_is_refused(store: Path) -> None:
    folder = folder_of(store, "tiny")
    (folder.parent / (folder.name[:8] + "00000000")).mkdir()
    with pytest.raises(VersionError, match="fits 2 versions"):
        versions.resolve(f"tiny@{folder.name[:4]}", store)


def test_a_folder_without_a_manifest_is_not_a_version(store: Path) -> None:
    (folder_of(store, "tiny") / "manifest.json").unlink()
    with pytest.raises(VersionError, match=r"not a version \(no manifest.json there\)"):
        versions.resolve("tiny", store)


def test_a_later_format_is_refused(store: Path) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest.update(format=3))
    with pytest.raises(VersionError, match="written in format 3, this lope reads format 2; install a newer lope"):
        versions.resolve("tiny", store)


@pytest.mark.parametrize(
    ("name", "parents", "commands"),
    [
        ("sample-heldout-300", [], "`python -m lope_data ingest sample-heldout --limit 300`"),
        ("dolly", [], "`python -m lope_data ingest SOURCE`, the file or hub id that 'dolly' was read from"),
        (
            "twice",
            ["once", "sample"],
            "`python -m lope_data ingest sample`, then `python -m lope_data build --from sample --name once` and the "
            "recipe it had, then `python -m lope_data build --from once --name twice` and the recipe it had",
        ),
        ("a`b", [], "`python -m lope_data build`"),
    ],
)
def test_format_1_is_refused_with_the_commands_that_make_it_again(
    store: Path, name: str, parents: list[str], commands: str
) -> None:
    links = [{"name": one, "version": "0" * 16, "content_digest": "sha256:0"} for one in parents]
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest.update(format=1, name=name, parents=links))
    with pytest.raises(VersionError) as refused:
        versions.resolve("tiny", store)
    assert str(refused.value).endswith(f"written in format 1, this lope reads format 2; make it again with {commands}")


@pytest.mark.parametrize("parents", [None, "x", ["x"], [{}]])
def test_a_manifest_of_format_1_may_hold_anything(store: Path, parents: Any) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest.update(format=1, name=7, parents=parents))
    with pytest.raises(VersionError, match="make it again with `python -m lope_data build`"):
        versions.resolve("tiny", store)


def test_a_shape_that_is_not_known_is_refused_by_its_name(store: Path) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest["shapes"].update(preference=1))
    with pytest.raises(VersionError, match=r"rows of shape 'preference', this lope knows instruction, .*, text; inst"):
        versions.resolve("tiny", store)


def set_layout(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["layout"].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        set_layout("columns", []),
        set_layout("columns", {"chat": "messages"}),
        set_layout("columns", {"chat": {"messages": 3}}),
        set_layout("columns", {"chat": {"messages": ["a", "b"]}}),
        set_layout("columns", {"multiple_choice": {"choices": ["a", 3]}}),
        set_layout("classes", {"label": "positive"}),
        set_layout("classes", None),
        set_layout("absent", "input"),
        lambda manifest: manifest["layout"].pop("absent"),
    ],
)
def test_a_layout_of_the_wrong_shape_is_refused(store: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewrite(folder_of(store, "tiny"), change)
    with pytest.raises(VersionError, match="'layout' lacks something or has it of the wrong type"):
        versions.resolve("tiny", store)


def test_a_shape_has_a_column_for_all_that_it_needs(store: Path) -> None:
    folder = folder_of(store, "tiny")
    rewrite(folder, lambda manifest: manifest["layout"]["columns"]["instruction"].pop("input"))
    assert versions.resolve("tiny", store).layout.columns["instruction"].keys() == {"instruction", "output"}
    rewrite(folder, lambda manifest: manifest["layout"]["columns"]["instruction"].pop("output"))
    with pytest.raises(VersionError, match="'layout' names no column for 'output' of shape 'instruction'"):
        versions.resolve("tiny", store)
    rewrite(folder, lambda manifest: manifest["layout"]["columns"].pop("instruction"))
    with pytest.raises(VersionError, match="'layout' names no column for 'instruction' of shape 'instruction'"):
        versions.resolve("tiny", store)


def test_a_column_that_only_the_layout_has_is_refused(store: Path) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest["layout"]["columns"]["chat"].update(messages="turns"))
    with pytest.raises(VersionError, match="lacks the column 'turns' that its manifest names"):
        versions.resolve("tiny", store).dataset()


def test_a_row_of_a_shape_that_the_layout_lacks_is_refused(store: Path) -> None:
    def forget(manifest: dict[str, Any]) -> None:
        del manifest["shapes"]["chat"], manifest["layout"]["columns"]["chat"]

    rewrite(folder_of(store, "tiny"), forget)
    with pytest.raises(VersionError, match="row 'row-20' has shape 'chat', which its manifest lacks"):
        list(versions.resolve("tiny", store).views())


def test_views_are_of_all_rows_in_order(tiny_store: Path) -> None:
    version = versions.resolve("tiny", tiny_store)
    assert list(version.views()) == [version.layout.view(row) for row in version.dataset()]
    assert len(list(version.views())) == 24


def test_a_changed_manifest_is_refused_and_unknown_keys_are_not(store: Path) -> None:
    folder = folder_of(store, "tiny")
    rewrite(folder, lambda manifest: manifest.update(later="ä key of a later release"))
    assert versions.resolve("tiny", store).rows == 24
    file = folder / "manifest.json"
    file.write_text(file.read_text().replace('"rows":24', '"rows":23'))
    with pytest.raises(VersionError, match="its own hash does not match"):
        versions.resolve("tiny", store)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"rows": 1}', '{"format": "1"}', "\xff"])
def test_a_manifest_that_is_none(store: Path, text: str) -> None:
    (folder_of(store, "tiny") / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(VersionError, match=r"manifest\.json: "):
        versions.resolve("tiny", store)


@pytest.mark.parametrize("key", ["rows", "files", "parents", "content_digest", "shapes", "layout"])
def test_a_manifest_that_lacks_a_key(store: Path, key: str) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest.pop(key))
    with pytest.raises(VersionError, match=f"{key!r} is missing"):
        versions.resolve("tiny", store)


def test_missing_and_resized_files_are_refused(store: Path) -> None:
    folder = folder_of(store, "tiny")
    card = folder / "README.md"
    card.write_text("longer than the card was before")
    with pytest.raises(VersionError, match=r"README.md: 31 bytes, the manifest says \d+"):
        versions.resolve("tiny", store)
    card.unlink()
    with pytest.raises(VersionError, match=r"README.md: missing"):
        versions.resolve("tiny", store)


def test_a_listed_file_outside_the_version_is_refused(store: Path) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest["files"][0].update(path="../../x"))
    with pytest.raises(VersionError, match="outside the version"):
        versions.resolve("tiny", store)


def test_broken_arrow_files_of_the_right_size_are_one_error(store: Path) -> None:
    shard = next(folder_of(store, "tiny").glob("*.arrow"))
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(VersionError, match=r"\.arrow: has changed \(its sha256 differs\)"):
        versions.resolve("tiny", store)


@pytest.mark.parametrize("path", ["data-00000-of-00001.arrow", "edits/00000-of-00001.parquet", "README.md"])
def test_one_changed_byte_is_refused(store: Path, path: str) -> None:
    file = folder_of(store, "tiny-noisy") / path
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(VersionError, match="has changed"):
        versions.resolve("tiny-noisy", store)


@pytest.mark.parametrize("path", ["more.txt", ".hidden", "edits/more.parquet", "cache-0123.arrow"])
def test_an_added_file_is_refused(store: Path, path: str) -> None:
    (folder_of(store, "tiny") / path).write_text("x")
    with pytest.raises(VersionError, match="not in the manifest"):
        versions.resolve("tiny", store)


def test_a_link_in_a_files_place_is_refused(store: Path) -> None:
    card = folder_of(store, "tiny") / "README.md"
    card.rename(store / "elsewhere")
    card.symlink_to(store / "elsewhere")
    with pytest.raises(VersionError, match=r"README\.md: missing"):
        versions.resolve("tiny", store)


def test_files_with_right_hashes_that_are_no_dataset_are_one_error(store: Path) -> None:
    folder = folder_of(store, "tiny")
    shard = next(folder.glob("*.arrow"))
    shard.write_bytes(b"x" * shard.stat().st_size)

    def accept(manifest: dict[str, Any]) -> None:
        entry = next(entry for entry in manifest["files"] if entry["path"] == shard.name)
        entry["sha256"] = hashlib.sha256(shard.read_bytes()).hexdigest()

    rewrite(folder, accept)
    with pytest.raises(VersionError, match="cannot be opened as a dataset"):
        versions.resolve("tiny", store).dataset()


def test_rows_that_the_manifest_does_not_promise(store: Path) -> None:
    rewrite(folder_of(store, "tiny"), lambda manifest: manifest.update(rows=25))
    with pytest.raises(VersionError, match="25 rows"):
        versions.resolve("tiny", store).dataset()


def test_a_missing_or_other_parent_is_named(store: Path) -> None:
    noisy = versions.resolve("tiny-noisy", store)
    clean = folder_of(store, "tiny")
    rewrite(clean, lambda manifest: manifest.update(content_digest="sha256:0"))
    with pytest.raises(VersionError, match="holds other rows"):
        versions.parent(noisy, store)
    shutil.rmtree(clean)
    with pytest.raises(VersionError, match=f"made from tiny@{clean.name}, which is not in the store"):
        versions.parent(noisy, store)


def test_a_parent_link_cannot_lead_outside(store: Path) -> None:
    rewrite(folder_of(store, "tiny-noisy"), lambda m: m["parents"][0].update(name="../tiny"))
    with pytest.raises(VersionError, match="is not a version"):
        versions.parent(versions.resolve("tiny-noisy", store), store)
