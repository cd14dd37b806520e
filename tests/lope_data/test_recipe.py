"""Recipes: the committed default, resolution, and overrides."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from lope_data.recipe import Recipe, load_recipe
from lope_data.registry import ops

DATA = Path(__file__).parents[2] / "pipelines" / "data"


def test_the_default_and_its_file_are_equal() -> None:
    assert load_recipe(DATA / "hynoise.toml", {}) == Recipe()


@pytest.mark.parametrize("path", sorted(DATA.glob("*.toml")), ids=lambda path: path.stem)
def test_committed_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path, {}).resolved()["name"] == path.stem


def test_a_level_shares_its_weight_equally() -> None:
    weights = load_recipe(None, {"mix": {"char": 1.0, "word.delete": 0.5, "word": 0.5}}).steps[0].weights
    assert sum(weights.values()) == 1
    assert weights["char.delete"] == weights["char.insert"] == Fraction(1, 8)
    assert weights["word.delete"] == Fraction(1, 4) + Fraction(1, 12)
    assert not any(op.startswith("label") for op in weights)


def test_resolved_spells_everything_out() -> None:
    step = Recipe().resolved()["steps"][0]
    assert set(step["mix"]) == set(step["params"]) == set(ops())
    assert step["params"]["char.insert"] == {"alphabet": "abcdefghijklmnopqrstuvwxyz"}


def test_overrides_keep_the_rest_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("name = 'mine'\n[[steps]]\nname = 'one'\nlevel = 0.3\n[embedding]\nalpha = 0.2\n")
    recipe = load_recipe(path, {"ratio": 0.4, "seed": 3, "level": None})
    assert (recipe.name, recipe.seed, recipe.embedding.alpha) == ("mine", 3, 0.2)
    assert (recipe.steps[0].name, recipe.steps[0].ratio, recipe.steps[0].level) == ("one", 0.4, 0.3)
