"""The paths of edits: a column of the source, and what leads from its value to a text (FORMAT.md, Edits)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_KEYS = r"\.([^.\[\]]+)|\[(\d+)\]"


class Place(NamedTuple):
    """A column, and the names and numbers that lead from its value on."""

    column: str
    keys: tuple[str | int, ...]

    @property
    def pattern(self) -> str:
        """The path without its numbers: `messages[].content`."""
        return self.column + "".join("[]" if isinstance(key, int) else f".{key}" for key in self.keys)


def place_of(path: str, columns: Iterable[str]) -> Place:
    """The place that a path names: it begins with the longest name of a column that it can.

    Args:
        columns: those where noise goes, `Layout.noisy`: another may be called as a path into one of them.

    Raises:
        LookupError: it is in none of the columns.
    """
    for column in sorted(filter(path.startswith, columns), key=len, reverse=True):
        rest = path[len(column) :]
        if re.fullmatch(f"(?:{_KEYS})*", rest):
            keys = re.findall(_KEYS, rest)
            return Place(column, tuple(name or int(number) for name, number in keys))
    raise LookupError(f"the path {path!r} is in no column")


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value that a path names in a row of `plain_rows`.

    Raises:
        LookupError: there is no such value.
        TypeError: the path leads into a value that has no parts.
    """
    place = place_of(path, row)
    value = row[place.column]
    for key in place.keys:
        value = value[key]
    return value
