"""What callers of the API gave, checked before anything is read; each raises the error of what it is about."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lope_common.errors import shown
from lope_common.progress import Notice, Progress
from lope_data.builds.obtain import Options
from lope_data.errors import LopeDataError, RecipeError, SourceError, StoreError
from lope_data.names import check_name
from lope_data.recipe.recipe import Recipe, named_recipe, validated
from lope_data.rows.columns import Columns
from lope_data.sources import ALL, InMemory, Reading, in_memory
from lope_data.store.store import Store
from lope_data.store.version import Version


def recipe_of(recipe: Any, columns: Mapping[str, Any] | None) -> Recipe:
    """The recipe, with `columns` put over its own."""
    found = _as_recipe(recipe)
    if columns is None:
        return found
    if not isinstance(columns, Mapping):
        raise RecipeError(f'columns must be a dict such as {{"text": "body"}}, not {shown(columns)}')
    mapped = validated(Columns, found.columns.model_dump(exclude_none=True) | dict(columns), "columns")
    return found.model_copy(update={"columns": mapped})


def _as_recipe(recipe: Any) -> Recipe:
    if recipe is None or isinstance(recipe, str | os.PathLike):
        return named_recipe(None if recipe is None else text_of("recipe", recipe, RecipeError), {})
    if isinstance(recipe, Mapping):
        return validated(Recipe, recipe, "the recipe")
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"recipe must be a lope_data.Recipe, a dict, or a name or file, not {shown(recipe)}")
    return recipe


def source_of(source: Any) -> str | InMemory:
    """A path or id as text, or an object in memory."""
    if isinstance(source, str | os.PathLike):
        return text_of("source", source, SourceError)
    if isinstance(source, Version):
        raise SourceError(f"source: {source.ref} is a version; build on it with parent (--from)")
    return in_memory(source)


def with_reading(recipe: Recipe, **asked: Any) -> Recipe:
    """The recipe with what was asked of the source put over its own."""
    given = {what: text_of(what, value, SourceError) for what, value in asked.items() if value is not None}
    if not given:
        return recipe
    own = recipe.source.model_dump(exclude_unset=True)
    return recipe.model_copy(update={"source": validated(Reading, own | given, "the source")})


def one_split(recipe: Recipe, each_of_them: str | None) -> Recipe:
    """The recipe, unless it asks for every split; `each_of_them` is the function that makes a version of each."""
    if recipe.source.split == ALL:
        todo = "name it" if each_of_them is None else f"name it, or call {each_of_them}"
        raise SourceError(f"split {ALL!r} stands for each split, where one is needed; {todo}")
    return recipe


def name_of(name: Any) -> str | None:
    """A version's name."""
    return None if name is None else check_name(text_of("name", name, StoreError))


def options_of(store: Any, workers: Any, shard_rows: Any, progress: Progress, notice: Notice) -> Options:
    """How a version is made."""
    threads = count_of("workers", workers) or os.cpu_count() or 1
    for what, called in (("progress", progress), ("notice", notice)):
        if not callable(called):
            raise RecipeError(f"{what} must be a function, not {shown(called)}")
    return Options(store_of(store), threads, count_of("shard_rows", shard_rows), progress, notice)


def store_of(store: Any) -> Store:
    """The store at a path, or the default one."""
    return Store(None if store is None else Path(text_of("store", store, StoreError)))


def count_of(what: str, number: Any) -> int | None:
    """A number of rows or threads, numpy's too."""
    if number is None:
        return None
    try:
        count = operator.index(number)
    except TypeError:
        count = 0
    if isinstance(number, bool) or not 1 <= count < 2**63:
        raise RecipeError(f"{what} must be 1 or more, as a whole number below 2**63, not {shown(number)}")
    return count


def text_of(what: str, value: Any, error: type[LopeDataError]) -> str:
    """Text, or a path as text."""
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise error(f"{what} must be text, not {shown(value)}")
    return text
