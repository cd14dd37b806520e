"""The names of classes that integers stand for, as `datasets` notes them in the metadata of a table's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

_KEY = b"huggingface"


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Path of the numbers, `label` or `tags[]` -> the classes' names; of columns that are there."""
    try:
        features = json.loads((schema.metadata or {})[_KEY])["info"]["features"]
        found = {path: names for name in schema.names for path, names in _found(features.get(name), name)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {path: names for path, names in found.items() if _is_integer(schema, path)}


def _found(feature: Any, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not isinstance(feature, dict):
        return
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names")
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            yield path, tuple(names)
    elif kind in ("List", "LargeList", "Sequence"):
        yield from _found(feature.get("feature"), f"{path}[]")
    elif kind is None:
        for name, inner in feature.items():
            yield from _found(inner, f"{path}.{name}")


def _is_integer(schema: pa.Schema, path: str) -> bool:
    name = next(name for name in sorted(schema.names, key=len, reverse=True) if path.startswith(name))
    kind = schema.field(name).type
    for step in path[len(name) :].replace("[]", ".[]").split(".")[1:]:
        if step == "[]":
            if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
                return False
            kind = kind.value_type
        else:
            if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
                return False
            kind = kind.field(step).type
    return bool(pa.types.is_integer(kind))
