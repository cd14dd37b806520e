"""Python values as JSON has them: what only looks like them made plain, and anything else refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.json_type import DEEPEST

_SCALARS = {str, int, float, bool, type(None)}
_ADVICE = "write it as text or numbers, or give an Arrow table or a Dataset, whose columns have types"


def plain_rows(rows: list[Any], where: str, first: int = 0) -> list[dict[str, Any]]:
    """Rows whose values are all of JSON's: numpy's numbers, arrays and tuples as numbers and lists.

    Args:
        first: the number of the first, for messages.

    Raises:
        SourceError: a row is no dict, a key is no text, or JSON has no word for a value; says the row and the column.
    """
    found = []
    for number, row in enumerate(rows, start=first):
        if not isinstance(row, Mapping):
            kind = "None" if row is None else type(row).__name__
            raise SourceError(f"{where}, row {number}: {kind}, where a dict is needed; remove the row or fix it")
        if type(row) is dict and set(map(type, row.values())) <= _SCALARS and set(map(type, row)) <= {str}:
            found.append(row)
        else:
            at = f"{where}, row {number}"
            found.append({_key(key, at): plain(value, f"{at}, column {key!r}") for key, value in row.items()})
    return found


def plain(value: Any, place: str, depth: int = 0) -> Any:
    """A value of JSON's types.

    Args:
        place: for messages.

    Raises:
        SourceError: JSON has no word for it, a key in it is no text, or it is nested too deeply.
    """
    if type(value) in _SCALARS:
        return value
    if depth == DEEPEST:
        raise SourceError(f"{place}: nested more than {DEEPEST} deep; drop or flatten it")
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), place, depth + 1) if value.dtype.kind in "biufUO" else _refuse(value, place)
    if isinstance(value, list | tuple):
        return [plain(item, place, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_key(key, place): plain(item, place, depth + 1) for key, item in value.items()}
    if isinstance(value, str):  # of a class of its own, as enumerations are
        return str.__str__(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    return _refuse(value, place)


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise SourceError(f"{place}: the key {shown(key)} is {type(key).__name__}, where text is needed; make it text")
    return str.__str__(key)


def _refuse(value: Any, place: str) -> Any:
    raise SourceError(f"{place}: {type(value).__name__}, which JSON has no word for; {_ADVICE}")
