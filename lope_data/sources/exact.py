"""The Arrow type that holds some Python values of JSON exactly: the same keys in the same order, no null added."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import isfinite
from operator import itemgetter
from typing import Any

import pyarrow as pa

from lope_data.rows.json_type import is_json, is_unicode, json_column
from lope_data.rows.stored import DEPTH

_PLAIN = {str: pa.string(), bool: pa.bool_()}


def exact_type(values: Sequence[Any], depth: int = 0) -> pa.DataType | None:
    """The type; null where it is not known yet, at any depth; None where only JSON holds the values.

    Args:
        depth: of the lists and objects around the values.
    """
    if depth == DEPTH:
        return None
    kinds = set(map(type, values))
    if type(None) in kinds:
        kinds.discard(type(None))
        values = [value for value in values if value is not None]
    if not kinds:
        return pa.null()
    if len(kinds) > 1:
        return None
    (kind,) = kinds
    if kind is int:
        return pa.int64() if min(values) >= -(2**63) and max(values) < 2**63 else None
    if kind is float:  # of NaN and the infinities, which typed columns export as text, only JSON holds what was there
        return pa.float64() if all(map(isfinite, values)) else None
    if kind is list:
        item = exact_type(list(chain.from_iterable(values)), depth + 1)
        return None if item is None else pa.list_(item)
    if kind is dict:
        return _struct(values, depth)
    return _PLAIN.get(kind)


def _struct(values: Sequence[dict[str, Any]], depth: int) -> pa.DataType | None:
    names = tuple(values[0])
    if not names or any(map(names.__ne__, map(tuple, values))) or not all(map(is_unicode, names)):
        return None
    fields = [(name, exact_type(list(map(itemgetter(name), values)), depth + 1)) for name in names]
    return None if any(kind is None for _, kind in fields) else pa.struct(fields)


def merged(one: pa.DataType | None, other: pa.DataType | None) -> pa.DataType | None:
    """The type that holds exactly what either of two holds; None where only JSON does."""
    if one is None or other is None or one == other:
        return one if one == other else None
    if pa.types.is_null(one) or pa.types.is_null(other):
        return other if pa.types.is_null(one) else one
    if pa.types.is_list(one) and pa.types.is_list(other):
        item = merged(one.value_type, other.value_type)
        return None if item is None else pa.list_(item)
    if pa.types.is_struct(one) and pa.types.is_struct(other) and _names(one) == _names(other):
        fields = [(mine.name, merged(mine.type, theirs.type)) for mine, theirs in zip(one, other, strict=True)]
        return None if any(kind is None for _, kind in fields) else pa.struct(fields)
    return None


def known(kind: pa.DataType) -> pa.DataType:
    """The type with text where nothing is known, since there are only nulls."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(known(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, known(part.type)) for part in kind])
    return kind


def as_type(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column of one of the types that were merged as one of the type that they came to."""
    if column.type == wanted:
        return column
    return json_column(column.to_pylist()) if is_json(wanted) else column.cast(wanted)


def _names(kind: pa.DataType) -> list[str]:
    return [part.name for part in kind]
