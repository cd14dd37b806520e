"""The committed version: still read, still built again to the same digest."""

from __future__ import annotations

from pathlib import Path

import datasets

from lope_data.builds import Options, build, ingest
from lope_data.recipe import load_recipe
from lope_data.store.store import Store

GOLDEN = Path(__file__).parents[2] / "golden"


def test_it_is_read() -> None:
    version = Store(GOLDEN / "store").resolve("golden")
    assert version.manifest.rows == len(version.rows) == 24
    rows = datasets.load_from_disk(str(version.folder))
    assert sum(bool(ops) for ops in rows["lope_ops"]) == version.manifest.touched == 12
    assert set(version.edits["row_id"].to_pylist()) == {r["lope_row_id"] for r in rows if r["lope_ops"]}


def test_it_is_built_again_to_the_same_ids_and_digests(options: Options) -> None:
    golden = Store(GOLDEN / "store")
    recipe = load_recipe(GOLDEN / "recipe.toml", {})
    clean = ingest(str(GOLDEN / "rows.jsonl"), recipe, None, options)
    noisy = build(clean, recipe, "golden", options)
    for mine, ref in ((clean, "rows"), (noisy, "golden")):
        theirs = golden.resolve(ref)
        assert mine.manifest.version == theirs.manifest.version
        assert mine.manifest.content_digest == theirs.manifest.content_digest
