"""Finding the value that keeps a column of JSON from having one type. Only for errors, so it may take time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from lope_data.sources.text import first_line

_WIDE = "an integer beyond 64 bits"
_KINDS = {"string": "str", "int64": "int", "double": "float", "bool": "bool", "list": "list", "struct": "dict"}


def misfit(values: list[Any], before: pa.DataType | None) -> tuple[int, str] | None:
    """The place of the value to blame, and what is wrong with it: where kinds differ, it is not the usual one's.

    Args:
        before: the column's type in rows before these.
    """
    usual = _KINDS.get(str(before).partition("<")[0])
    counts: dict[str, Counter[str]] = {}
    first: dict[tuple[str, str], tuple[int, Any]] = {}
    for number, value in enumerate(values):
        for path, leaf in _leaves(value):
            kind = _kind(leaf)
            counts.setdefault(path, Counter())[kind] += 1
            first.setdefault((path, kind), (number, leaf))
    for path, kinds in counts.items():
        if len(kinds) > 1 and set(kinds) != {"int", "float"}:
            common = usual if usual in kinds and not path else kinds.most_common(1)[0][0]
            odd = next(kind for kind in kinds if kind != common and {kind, common} != {"int", "float"})
            number, leaf = first[path, odd]
            inside = f"at {path}: " if path else ""
            return number, f"{inside}{shown(leaf)} is {odd}, other rows hold {common}; make it one type"
    for number, value in enumerate(values):
        try:
            pa.array([value])
        except (pa.ArrowException, UnicodeError, OverflowError) as error:
            return number, f"{shown(value)} cannot be held ({first_line(error)})"
    return None


def shown(value: Any) -> str:
    """The beginning of a value, as JSON."""
    return json.dumps(value, default=str)[:60]


def _kind(value: Any) -> str:
    if type(value) is int and not -(2**63) <= value < 2**63:
        return _WIDE
    return type(value).__name__


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """The value and what is in it, with the way there, except nulls."""
    waiting = [("", value)]
    while waiting:
        path, item = waiting.pop()
        if item is None:
            continue
        yield path, item
        if isinstance(item, dict):
            waiting += [(f"{path}.{name}" if path else name, inner) for name, inner in item.items()]
        elif isinstance(item, list):
            waiting += [(f"{path}[]", inner) for inner in item]
