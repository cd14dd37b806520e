"""The committed versions: still read, still built again to the same digest."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from lope_data.builds import Options, build, ingest
from lope_data.recipe import load_recipe
from lope_data.store.store import Store
from lope_data.store.verify import verify_version

GOLDEN = Path(__file__).parents[2] / "golden"
MADE = {"golden": ("rows", "recipe", 24, 12), "golden-chats": ("chats", "chats", 8, 6)}
"""Noisy version -> its parent, its recipe, its rows, and how many are touched."""


@pytest.mark.parametrize("name", MADE)
def test_it_is_read(name: str) -> None:
    parent, _, count, touched = MADE[name]
    version = Store(GOLDEN / "store").resolve(name)
    assert version.manifest.rows == len(version.rows) == count
    rows = datasets.load_from_disk(str(version.folder))
    assert sum(bool(ops) for ops in rows["lope_ops"]) == version.manifest.touched == touched
    assert set(version.edits["row_id"].to_pylist()) == {r["lope_row_id"] for r in rows if r["lope_ops"]}
    assert version.dataset.features == rows.features
    for one in version.lineage:
        assert verify_version(one.folder, lambda *_: None)[1] == []
    assert version.lineage[1].manifest.name == parent


@pytest.mark.parametrize("name", MADE)
def test_it_is_built_again_to_the_same_ids_and_digests(name: str, options: Options) -> None:
    golden = Store(GOLDEN / "store")
    parent, recipe_name, _, _ = MADE[name]
    recipe = load_recipe(GOLDEN / f"{recipe_name}.toml", {})
    clean = ingest(str(GOLDEN / f"{parent}.jsonl"), recipe, None, options)
    noisy = build(clean, recipe, name, options)
    for mine, ref in ((clean, parent), (noisy, name)):
        theirs = golden.resolve(ref)
        assert mine.manifest.version == theirs.manifest.version
        assert mine.manifest.content_digest == theirs.manifest.content_digest
