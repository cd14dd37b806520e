"""Models that a user makes in Python: what is wrong with them is our own error, in one line."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from lope_data.errors import RecipeError, SourceError
from lope_data.models import Strict
from lope_data.recipe import Recipe, Step
from lope_data.rows import Columns
from lope_data.sources import Reading


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recipe(ratio=0.1), "Recipe: ratio: unknown key 'ratio'; it is a key of steps"),  # type: ignore[call-arg]
        (lambda: Recipe(sed=1), "Recipe: sed: unknown key 'sed'; did you mean 'seed'?"),  # type: ignore[call-arg]
        (lambda: Recipe(steps=[{"ratio": 2}]), "Recipe: steps[0].ratio: must be 1 or less, not 2"),  # type: ignore[list-item]
        (lambda: Recipe(columns={"texxt": "a"}), "Recipe: columns.texxt: unknown key 'texxt'; did you mean 'text'?"),  # type: ignore[arg-type]
        (lambda: Recipe.model_validate({"steps": 3}), "Recipe: steps: must be a list, not 3"),
        (lambda: Recipe.model_validate(None), "Recipe: must be a table, not None"),
        (lambda: Recipe.model_validate_json("{"), "Recipe: Invalid JSON"),
        (lambda: Recipe(source={"encoding": "nope"}), "Recipe: source.encoding: unknown encoding 'nope'"),  # type: ignore[arg-type]
        (lambda: Step(ratio="x"), "Step: ratio: must be a number, not 'x'"),  # type: ignore[arg-type]
        (lambda: Step(mix={"char.delte": 1}), "Step: unknown op or level 'char.delte' in mix"),  # type: ignore[dict-item]
        (lambda: Columns(choices=("a", "a")), "Columns: choices: it names a column twice"),
    ],
)
def test_what_is_wrong_is_a_recipe_error_of_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        make()
    assert str(error.value).startswith(message)
    assert str(error.value).isprintable()


def test_of_a_source_it_is_a_source_error() -> None:
    with pytest.raises(SourceError, match=r"^Reading: encoding: unknown encoding 'nope'"):
        Reading(encoding="nope")


def test_what_is_nested_too_deeply_is_said() -> None:
    deep: Any = {}
    for _ in range(3000):
        deep = {"params": deep}
    with pytest.raises(RecipeError):
        Recipe.model_validate({"steps": [deep]})


@pytest.mark.parametrize(
    "model", [Recipe(steps=[Step(ratio=0.2)]), Step(mix={"char": 1}), Columns(text="x"), Reading()]
)  # type: ignore[dict-item]
def test_models_can_be_copied_and_pickled(model: Strict) -> None:
    if isinstance(model, Recipe):
        assert model.steps[0].ops  # functions among what was worked out of it
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.model_copy()):  # noqa: S301
        assert other == model
        assert other.model_fields_set == model.model_fields_set
    if isinstance(model, Recipe):
        assert pickle.loads(pickle.dumps(model)).resolved() == model.resolved()  # noqa: S301
    assert model.model_validate(model) is model
