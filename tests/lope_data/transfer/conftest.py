"""A store with a noisy version of every shape of text, built once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from lope_data.builds import Options, build, ingest
from lope_data.recipe import load_recipe
from lope_data.store import Store, Version

HERE = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def golden_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """`rows`, a clean version of 24 rows of three shapes, and `golden`, with noise in 12 of them."""
    store = Store(tmp_path_factory.mktemp("golden"))
    recipe, options = load_recipe(HERE / "recipe.toml", {}), Options(store, workers=1, shard_rows=16)
    build(ingest(str(HERE / "rows.jsonl"), recipe, None, options), recipe, "golden", options)
    return store


@pytest.fixture
def golden(golden_store: Store) -> Version:
    return golden_store.resolve("golden")
