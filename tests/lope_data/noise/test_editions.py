"""Editions: a recipe means next year what it means today, whatever ops are added."""

from __future__ import annotations

import hashlib
import tomllib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lope_data
from lope_common.files import canonical
from lope_data.builds import Options, build
from lope_data.errors import RecipeError
from lope_data.noise import Edition, Edits, Hits, Params, all_ops, get_edition, get_op, newest_edition, text_op
from lope_data.noise import editions as module
from lope_data.noise.op import LabelOp
from lope_data.noise.registry import level_of
from lope_data.recipe import Recipe, Step, load_recipe, validated
from lope_data.store import Store, Version

FROZEN = {1: "c17875213e53"}
"""Of each released edition a hash of what it holds. A line is added with an edition; none ever changes."""


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Edition:
    """A second edition in which `char` is one op, `default` is `char`, and there is a preset more."""
    added = Edition(2, {"char": ("char.swap",)}, {"default": {"char": 1.0}, "twice": {"char.repeat": 1.0}})
    known = {1: get_edition(1), 2: added}
    monkeypatch.setattr(module, "editions", lambda: known)
    return added


@pytest.fixture
def one_more_op(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An op more at a level, registered as the guide says."""
    monkeypatch.setattr("lope_data.noise.registry._ops", dict(all_ops()))

    @text_op("char.aaa", version=1, unit="character", units=lambda cells, _: cells.graphemes, needs="a character")
    def delete(hits: Hits, params: Params) -> Edits:
        """Deletes a character."""
        return hits.replace(hits.nothing())

    yield "char.aaa"
    monkeypatch.undo()
    all_ops.cache_clear()


@pytest.mark.parametrize("path", sorted(Path(module.__file__).parent.glob("*.toml")), ids=lambda path: path.stem)
def test_released_editions_are_frozen(path: Path) -> None:
    held = canonical(tomllib.loads(path.read_text(encoding="utf-8")))
    assert hashlib.sha256(held).hexdigest()[:12] == FROZEN[int(path.stem)]


@pytest.mark.parametrize("number", FROZEN)
def test_editions_name_ops_that_exist(number: int) -> None:
    edition = get_edition(number)
    assert all(level_of(op) == level for level, ops in edition.levels.items() for op in ops)
    assert edition.ops <= set(all_ops())
    assert all(name in edition.levels or name in edition.ops for mix in edition.presets.values() for name in mix)
    assert all(isinstance(get_op(op), LabelOp) for op in edition.levels["label"])


def test_an_op_that_is_added_joins_no_level(one_more_op: str) -> None:
    for mix in ("default", "char", {"char": 1.0, "word": 1.0}):
        recipe = load_recipe(None, {"mix": mix})
        assert one_more_op not in recipe.steps[0].weights
        assert len([op for op in recipe.steps[0].weights if op.startswith("char.")]) == 9
    assert load_recipe(None, {"mix": one_more_op}).steps[0].weights == {one_more_op: 1}
    assert not {op.name: op for op in lope_data.list_ops()}[one_more_op].in_default


def test_a_recipe_without_an_edition_is_of_the_first_and_does_not_say_so(second: Edition, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("name = 'old'\n")
    for recipe in (load_recipe(path, {}), Recipe(), Recipe(edition=1), Recipe(steps=(Step(mix={"char": 1}),))):
        assert recipe.edition == 1
        assert len([op for op in recipe.steps[0].weights if op.startswith("char.")]) == 9
        assert "edition" not in recipe.resolved()


def test_a_recipe_of_an_edition_means_that_edition(second: Edition, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("edition = 2\n[[steps]]\nmix = 'char'\n[[steps]]\nname = 'more'\nmix = 'twice'\n")
    recipe = load_recipe(path, {"seed": 3})
    assert [list(step.weights) for step in recipe.steps] == [["char.swap"], ["char.repeat"]]
    assert recipe.resolved()["edition"] == 2
    assert Recipe.model_validate({**recipe.resolved(), "seed": 3}).resolved() == recipe.resolved()
    assert list(Recipe(edition=2, steps=(Step(edition=2, ratio=0.5),)).steps[0].weights) == ["char.swap"]
    assert list(Recipe(edition=2).steps[0].weights) == ["char.swap"]
    assert load_recipe(path, {"edition": 2}) == load_recipe(path, {})


def test_what_is_built_without_a_recipe_is_of_the_newest_and_records_it(
    second: Edition, sample: Version, tmp_path: Path
) -> None:
    assert newest_edition() is second
    assert load_recipe(None, {"ratio": 0.2}).edition == 2
    assert load_recipe(None, {"ratio": 0.2, "edition": 1}).edition == 1
    version = lope_data.build(parent=sample, store=tmp_path)
    assert version.manifest.recipe.edition == 2  # type: ignore[union-attr]
    assert list(version.manifest.ops) == ["char.swap"]
    old = build(sample, Recipe(), None, Options(Store(tmp_path)))
    assert "edition" not in old.manifest.recipe.plain
    assert old.manifest.version != version.manifest.version
    texts = ["abcdefgh"] * 9
    assert lope_data.corrupt(texts, "char", 0.5) == lope_data.corrupt(texts, "char.swap", 0.5)
    assert lope_data.corrupt(texts, "char", 0.5, edition=1) != lope_data.corrupt(texts, "char", 0.5)


def test_one_op_in_two_editions_is_two_versions(second: Edition, sample: Version, tmp_path: Path) -> None:
    ids = {
        build(sample, Recipe(edition=number, steps=({"mix": "char.swap"},)), None, Options(Store(tmp_path))).ref
        for number in (1, 2)
    }
    assert len(ids) == 2


@pytest.mark.parametrize("steps", [(Step(ratio=0.5),), iter([{"mix": "char"}]), deque([{"mix": "char"}])])
def test_a_step_is_never_of_another_edition_than_its_recipe(second: Edition, steps: Any) -> None:
    with pytest.raises(RecipeError, match=r"a step of edition 1 in a recipe of edition 2|must be a list, not"):
        validated(Recipe, {"edition": 2, "steps": steps}, "recipe")


@pytest.mark.parametrize("number", ["1", 1.0, True, None, [1], 10**5000], ids=range(6))
def test_an_edition_is_a_number_that_there_is(number: Any) -> None:
    with pytest.raises(RecipeError, match="edition"):
        get_edition(number)
    with pytest.raises(RecipeError, match="edition"):
        validated(Recipe, {"edition": number}, "recipe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "edition = 3",
            "there is no edition 3 of recipes: the newest that this lope_data knows is 2; upgrade it",
        ),
        (
            "edition = 0",
            "edition: there is no edition 0 of recipes: the newest that",
        ),
        ("edition = '2'", "edition: must be a whole number, not '2'"),
        ("edition = true", "edition: must be a whole number, not True"),
        ("[[steps]]\nedition = 1", "edition is a key of the whole recipe"),
        ("edition = 2\n[[steps]]\nmix = 'word'", "the level word has no ops in edition 2 of recipes"),
        ("edition = 2\n[[steps]]\nmix = 'human'", "unknown preset, level or op 'human'"),
        ("[[steps]]\nmix = 'twice'", "unknown preset, level or op 'twice'"),
    ],
)
def test_what_is_wrong_with_an_edition_is_named(second: Edition, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        load_recipe(path, {})
    assert message in str(error.value)


def test_an_edition_from_the_future_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no edition 9 of recipes: this lope_data knows only 1; upgrade it"):
        lope_data.corrupt(["text"], "char", edition=9)
    with pytest.raises(RecipeError, match="the recipe: edition: there is no edition 9"):
        lope_data.build({"edition": 9}, store=tmp_path)
    assert not list(tmp_path.iterdir())
