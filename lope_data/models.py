"""Models of what users write: strict, and what is wrong is our own error, in one line and in words of recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from lope_common.errors import shown, suggest
from lope_common.shown import brief, safe
from lope_data.errors import LopeDataError, RecipeError

_SAYS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "mapping_type": "must be a table",
    "model_type": "must be a table",
    "string_pattern_mismatch": "must be 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    "string_type": "must be a text",
    "too_short": "must hold {min_length} or more",
    "tuple_type": "must be a list",
}


class Strict(BaseModel):
    """A model that knows every key that may stand in it, and does not change.

    Raises:
        RecipeError: when it is made of values that do not do; says which. A model may have another `error`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    error: ClassVar[type[LopeDataError]] = RecipeError

    def __init__(self, **data: Any) -> None:
        with _own_error(type(self), type(self).__name__):
            super().__init__(**data)

    # As pydantic's own: models inside others are not made by `__init__`, and their errors say where they stand.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Self:
        with _own_error(cls, cls.__name__):
            return super().model_validate(obj, **how)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **how: Any) -> Self:
        with _own_error(cls, cls.__name__):
            return super().model_validate_json(json_data, **how)

    @classmethod
    def checked(cls, data: Mapping[str, Any], where: str) -> Self:
        """The data as this model. Raises its error, which begins with `where`."""
        with _own_error(cls, where):
            return super().model_validate(data)

    def __getstate__(self) -> dict[Any, Any]:
        """The fields: what was worked out of them is worked out again, since functions are in it."""
        state = super().__getstate__()
        fields = {name: value for name, value in vars(self).items() if name in type(self).model_fields}
        return state | {"__dict__": fields}


@contextmanager
def _own_error(model: type[Strict], where: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise model.error(f"{where}: {reason(error, partial(known_keys, model))}") from error
    except RecursionError:
        raise model.error(f"{where}: nested too deeply") from None


def known_keys(model: type[BaseModel], parents: list[str]) -> list[str]:
    """The keys that may stand at a place of a model, or of a table in it; none where anything may."""
    for key in parents:
        if not key.isdigit():
            field = model.model_fields.get(key)
            inner = None if field is None else _model_in(field.annotation)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in a type such as `tuple[Step, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def reason(error: ValidationError, known_keys: Callable[[list[str]], list[str]]) -> str:
    """The first thing that is wrong, and where it stands.

    Args:
        known_keys: the keys that may stand in the table that is reached by some keys.
    """
    first = error.errors()[0]
    keys = [_short(key) for key in first["loc"] if key not in ("str", "tuple[str, ...]")]  # names of a union's branches
    place = "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in keys).lstrip(".")
    message = _SAYS.get(first["type"], first["msg"].removeprefix("Value error, "))
    limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in first.get("ctx", {}).items()}
    if first["type"] in _SAYS:
        message = f"{message.format(**limits)}, not {shown(first['input'])}"
    if first["type"] == "extra_forbidden":
        known = known_keys(keys[:-1])
        inside = [name for name in known if keys[-1] in known_keys([*keys[:-1], name])]
        message = f"unknown key {shown(keys[-1])}"
        message += f"; it is a key of {inside[0]}" if inside else suggest(keys[-1], known)
        if keys[-1] in known_keys([]) and len(keys) > 1:
            message += "; as a key of the whole recipe it stands above the first table"
    return f"{place}: {message}" if place else message


def _short(key: int | str) -> str:
    """A key for a message: short, and nothing in it that a terminal would take for a command."""
    return brief(safe(str(key)), 60)
