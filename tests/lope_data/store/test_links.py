"""Links, circles and strangers' names in a store: nothing outside it is written or removed, and nothing goes round."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_common.files import canonical
from lope_data.builds import Options, ingest
from lope_data.errors import LopeDataError, NoiseError, SourceError, StoreError
from lope_data.recipe import Recipe
from lope_data.sources import open_source
from lope_data.store.manifest import seal
from lope_data.store.store import Store
from lope_data.store.version import Version

Cli = Callable[..., Any]


def test_a_reference_that_is_set_through_a_link_stays_inside(store: Store, sample: Version, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (store.home("sample") / "refs" / ".paper").symlink_to(tmp_path / "mine")
    store.set_ref("sample", "paper", sample.folder.name)
    assert (tmp_path / "mine").read_text() == "mine"
    assert store.refs("sample")["paper"] == sample.folder.name


def test_locks_that_lead_out_are_refused(store: Store, sample: Version, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "store").write_text("mine")
    (store.root / ".locks").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="is a link"):
        store.set_ref("sample", "paper", sample.folder.name)
    assert (tmp_path / "victim" / "store").read_text() == "mine"


def test_a_draft_that_is_a_link_is_not_followed(
    store: Store, sample: Version, noisy: Callable[..., Version], tmp_path: Path
) -> None:
    version = noisy(ratio=0.1, name="once").folder.name
    (tmp_path / "victim").mkdir()
    (store.root / "again").mkdir()
    store.draft("again", version).symlink_to(tmp_path / "victim")
    assert noisy(ratio=0.1, name="again").folder.name == version
    assert list((tmp_path / "victim").iterdir()) == []


def resealed(version: Version, **changes: Any) -> None:
    manifest = json.loads((version.folder / "manifest.json").read_bytes()) | changes
    (version.folder / "manifest.json").write_bytes(canonical(seal(manifest)))


def test_a_version_that_is_its_own_parent_ends(
    lope_data: Cli, store: Store, sample: Version, noisy: Callable[..., Version]
) -> None:
    version = noisy(ratio=0.1)
    resealed(version, parents=[version.link.plain], depth=1)
    with pytest.raises(StoreError, match="other ancestors"):
        _ = Version.at(version.folder).lineage
    run = lope_data("verify", version.ref, "--store", store.root)
    assert run.code == 1
    assert "ancestors" in run.out


def test_noise_is_not_put_on_a_damaged_parent(store: Store, sample: Version, lope_data: Cli) -> None:
    shard = sample.folder / sample.data_files[0]
    data = shard.read_bytes()
    shard.write_bytes(data.replace(b"Please", b"Cheese", 1))
    assert shard.read_bytes() != data
    run = lope_data("build", "--from", "sample", "--name", "child", "--store", store.root)
    assert run.code == 2
    assert "is not the file that its manifest lists" in run.err
    assert not (store.root / "child").exists()


def test_a_shortfall_is_refused_whatever_was_built_before(lope_data: Cli) -> None:
    command = ("build", "--mix", "label.flip=1", "--ratio", "0.5", "--store", "s")
    assert lope_data(*command).code == 2
    assert lope_data(*command, "--allow-shortfall").code == 0
    run = lope_data(*command)
    assert run.code == 2
    assert "--allow-shortfall" in run.err


def test_a_source_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n')
    opened = open_source(str(path))
    path.write_text('{"text": "another", "label": "x"}\n')
    with pytest.raises(SourceError, match="changed while it was read"):
        opened.read()


def test_a_file_name_that_is_no_utf8(tmp_path: Path, options: Options) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"b\xff.jsonl")  # noqa: PTH118
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write('{"text": "a", "label": "x"}\n' * 3)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    built = ingest(os.fsdecode(path), Recipe(), None, options)
    assert built.manifest.rows == 3
    assert built.manifest.source.name == "b\ufffd"


def test_the_sample_is_not_shadowed(lope_data: Cli, tmp_path: Path) -> None:
    (tmp_path / "sample").mkdir()
    assert lope_data("build", "--limit", "20", "--store", "s", "--json").json["rows"] == 20


def test_a_tag_of_a_damaged_version_can_be_taken_away(lope_data: Cli, store: Store, sample: Version) -> None:
    store.set_ref("sample", "paper", sample.folder.name)
    (sample.folder / "manifest.json").write_text("{")
    assert lope_data("tag", "sample", "paper", "--delete", "--store", store.root).code == 0
    assert "paper" not in store.refs("sample")


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"limit": 0}, {"workers": 0}])
def test_the_python_face_takes_no_nonsense(wrong: dict[str, int], tmp_path: Path) -> None:
    from lope_data import build

    with pytest.raises(LopeDataError, match="must be 1 or more"):
        build(store=tmp_path / "s", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_a_shortfall_through_the_builder(sample: Version, options: Options) -> None:
    from lope_data.builds import build

    recipe = Recipe.model_validate({"steps": [{"ratio": 0.5, "mix": "label.flip"}]})
    build(sample, recipe, "short", options, allow_shortfall=True)
    with pytest.raises(NoiseError, match="rows short"):
        build(sample, recipe, "short", options)
