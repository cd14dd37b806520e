"""Recipes of training: settings in a TOML file, by their names."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from lope_common.errors import suggest
from lope_common.recipes import Recipes
from lope_train.errors import SettingsError
from lope_train.settings.settings import TrainSettings

RECIPES = Recipes("train", ("**/*.toml",))

_LINKED = ("stage2", "inference")
"""Settings of which each follows from the other."""
_UNROUTED = ("stage2", "hynoise")
"""Settings that a recipe states and routing has none of."""
SHORT = {"learning_rate": "lr", "r": "rank"}
"""Settings that the command line calls otherwise."""


def load_recipe(path: Path) -> dict[str, Any]:
    """The settings that the file gives, each checked by itself; some may be missing.

    Raises SettingsError, with the file and the key or the line, where it cannot be read or something in it is wrong.
    """
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such recipe") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as a recipe (TOML): {error}") from None
    fields = TrainSettings.model_fields
    for key, value in recipe.items():
        if key not in fields:
            meant = next((name for name, short in SHORT.items() if short == key), key.replace("-", "_"))
            raise SettingsError(f"{path}: unknown setting {key!r}{suggest(meant, fields)}")
        if reason := _objection(fields[key], value):
            raise SettingsError(f"{path}: setting {key!r} is {value!r}: {reason}")
    return recipe


def read_recipe(typed: str) -> dict[str, Any]:
    """What `load_recipe` gives of the recipe that was typed: a name or a file. Raises SettingsError."""
    with RECIPES.file(typed, SettingsError) as path:
        return load_recipe(path)


def settings_from(recipe: Mapping[str, Any], typed: Mapping[str, Any]) -> TrainSettings:
    """The settings of a recipe, with those that were typed in place of its own.

    Raises SettingsError where one that is required is in neither, is out of range or contradicts another.
    """
    given = {**recipe, **typed}
    for one, other in (_LINKED, _LINKED[::-1]):
        if one in typed and other not in typed:
            given.pop(other, None)  # it follows from what was typed
    if typed.get("route", "none") != "none":
        given = {name: value for name, value in given.items() if name not in _UNROUTED or name in typed}
    required = [name for name, field in TrainSettings.model_fields.items() if field.is_required()]
    if missing := [f"--{name}" for name in required if name not in given]:
        raise SettingsError(f"missing: {', '.join(missing)}; type what is missing, or name a recipe that has it")
    return TrainSettings.model_validate(given)


def dump(settings: TrainSettings) -> str:
    """TOML that `load_recipe` reads back to the same settings; those that are None are left out."""
    values = settings.model_dump(mode="json")
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items() if value is not None)


def _objection(field: FieldInfo, value: Any) -> str | None:
    """What is wrong with the value of one field, contradictions with other fields aside."""
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        reason: str = error.errors(include_url=False)[0]["msg"]
        return reason[0].lower() + reason[1:]
    return None


def _toml(value: bool | int | float | str | list[str]) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for the one control character that JSON lets stand.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
