"""A build's manifest.json as a recipe: it makes the same noise, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_common.files import canonical
from lope_data.errors import RecipeError
from lope_data.recipe import load_recipe
from lope_data.store import Version, seal


@pytest.fixture
def manifest(noisy: Callable[..., Version]) -> Path:
    mix = {"char": 2, "word.shuffle": 1}
    return noisy(ratio=0.1, level=0.3, mix=mix, seed=7).folder / "manifest.json"


def write(path: Path, **keys: Any) -> None:
    path.write_bytes(canonical(seal(json.loads(path.read_bytes()) | keys)))


def test_it_resolves_to_what_the_version_was_made_by(manifest: Path) -> None:
    recipe, said = load_recipe(manifest, {}), json.loads(manifest.read_bytes())
    assert recipe.resolved() == said["recipe"]
    assert (recipe.seed, recipe.embedding.alpha) == (7, 0.05)
    assert recipe.steps[0].ratio == 0.1


def test_the_hint_to_trainers_comes_with_it(manifest: Path) -> None:
    write(manifest, hints={"embedding_alpha": 0.2})
    assert load_recipe(manifest, {}).embedding.alpha == 0.2


def test_the_options_are_put_over_it(manifest: Path) -> None:
    recipe = load_recipe(manifest, {"seed": 8, "ratio": 0.4})
    assert (recipe.seed, recipe.steps[0].ratio, recipe.steps[0].level) == (8, 0.4, 0.3)


def test_the_same_build_is_found(lope_data: Callable[..., Any], manifest: Path) -> None:
    store = manifest.parents[2]
    run = lope_data("build", "--from", "sample", "--recipe", manifest, "--store", store, "--json")
    assert (run.json["version"], run.json["existed"]) == (manifest.parent.name, True)


def test_a_clean_source_has_no_noise(sample: Version) -> None:
    with pytest.raises(RecipeError, match="is the manifest of a clean source, which has no noise"):
        load_recipe(sample.folder / "manifest.json", {})


def test_a_changed_byte_is_seen(manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes().replace(b'"ratio":0.1', b'"ratio":0.9'))
    with pytest.raises(RecipeError, match="does not match its own hash"):
        load_recipe(manifest, {})


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format":1,"kind":"build"}'])
def test_what_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(RecipeError, match=r"x.json is not a version's manifest.json; .* TOML"):
        load_recipe(tmp_path / "x.json", {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*: No such file"):
        load_recipe(tmp_path / "x.json", {})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"seed": -1}, "seed: must be 0 or more"),
        ({"seed": None}, "seed: must be a whole number"),
        ({"recipe": {"steps": [{"ratio": 2.0}]}}, r"steps\[0\].ratio: must be 1 or less"),
        ({"recipe": {"later": 1}}, "later: unknown key 'later'"),
        ({"hints": {"embedding_alpha": "x"}}, "embedding.alpha: must be a number"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_by_its_key(
    manifest: Path, keys: dict[str, Any], said: str
) -> None:
    write(manifest, **keys)
    with pytest.raises(RecipeError, match=f"manifest.json: {said}"):
        load_recipe(manifest, {})
