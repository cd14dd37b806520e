"""What is wrong with a recipe, in words of recipes: the first of pydantic's findings, and where it stands."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from lope_common.errors import shown, suggest
from lope_common.shown import brief, safe

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
        message = f"unknown key {shown(keys[-1])}{suggest(keys[-1], known_keys(keys[:-1]))}"
        if keys[-1] in known_keys([]) and len(keys) > 1:
            message += "; as a key of the whole recipe it stands above the first table"
    return f"{place}: {message}" if place else message


def _short(key: int | str) -> str:
    """A key for a message: short, and nothing in it that a terminal would take for a command."""
    return brief(safe(str(key)), 60)
