"""The type in which a version holds a column, where the source's is another. No value changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.rows.arrow_types import is_list
from lope_data.rows.json_type import DEEPEST, is_json, json_column, json_texts, loads, too_deep

DEPTH = 40
"""How deep lists and structs may nest, with the values in them; Arrow's files hold some 60."""


def stored(column: pa.Array, place: str) -> pa.Array:
    """The column as a version holds it: strings whatever their encoding, lists of a fixed size as lists, JSON inside
    lists or structs, and structs without fields, as JSON on the outside.

    Args:
        place: of the column, for messages.

    Raises:
        SourceError: a version cannot hold its type.
    """
    kind = column.type
    if is_json(kind):
        return column
    if _is_deep(kind):
        raise SourceError(f"{place}: nested more than {DEPTH} deep; drop or flatten it")
    if _has_json(kind):
        try:
            column = json_column([_decoded(value, kind) for value in column.to_pylist()])
        except (TypeError, ValueError, RecursionError) as error:
            raise SourceError(f"{place}: a version cannot hold {kind} ({error}); drop or convert it") from error
        return column
    wanted = _wanted(kind)
    if not storable(wanted):
        raise SourceError(f"{place}: a version cannot hold {kind}; drop or convert it")
    try:
        _check_zones(wanted)
        return column if wanted == kind else column.cast(wanted)
    except pa.ArrowException as error:
        raise SourceError(f"{place}: a version cannot hold {kind} ({error}); drop or convert it") from error


def _check_zones(kind: pa.DataType) -> None:
    """Raises pa.ArrowException: a time has a zone that is not known, so that nobody could read it."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        pa.array([0], kind).cast(pa.string())
    for number in range(kind.num_fields):
        _check_zones(kind.field(number).type)


def check_depth(column: pa.Array, place: str, number: Callable[[int], int]) -> None:
    """Raises SourceError: a text of a column of JSON is nested too deeply; says in which row, as `number` calls it."""
    if (row := too_deep(json_texts(column))) is not None:
        raise SourceError(f"{place}: row {number(row)} is nested more than {DEEPEST} deep; drop or flatten it")


def widened(kind: pa.DataType) -> pa.DataType:
    """The type with offsets of 64 bits for text, however nested."""
    if pa.types.is_string(kind):
        return pa.large_string()
    if is_json(kind):
        return pa.json_(pa.large_string())
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(widened(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(widened(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(widened(part.type)) for part in kind])
    return kind


def _wanted(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_dictionary(kind):
        return _wanted(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_wanted(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_wanted(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_wanted(part.type)) for part in kind])
    return kind


def _has_json(kind: pa.DataType) -> bool:
    """Whether a part of it is JSON or holds nothing that Arrow's files can hold."""
    if pa.types.is_struct(kind) and not kind.num_fields:
        return True
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    if pa.types.is_fixed_size_list(kind) or pa.types.is_dictionary(kind):
        inner = [kind.value_type]
    return any(is_json(part) or _has_json(part) for part in inner)


def _decoded(value: Any, kind: pa.DataType) -> Any:
    """A Python value with the JSON in it read."""
    if value is None:
        return None
    if is_json(kind):
        return loads(value)
    if pa.types.is_struct(kind):
        return {part.name: _decoded(value[part.name], part.type) for part in kind}
    if isinstance(value, list):
        return [_decoded(item, kind.value_type) for item in value]
    return value


def _is_deep(kind: pa.DataType) -> bool:
    level = [kind]
    for _ in range(DEPTH):
        level = [part.field(i).type for part in level for i in range(part.num_fields)]
    return bool(level)


def storable(kind: pa.DataType) -> bool:
    """Whether a version can hold a column of the type: text, numbers, booleans, dates and times, lists and structs of
    these, and JSON.
    """
    return is_json(kind) or _storable(kind)


def _storable(kind: pa.DataType) -> bool:
    if is_list(kind):
        return _storable(kind.value_type)
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_storable(part.type) for part in kind)
    if pa.types.is_decimal(kind):
        return bool(pa.types.is_decimal128(kind) or pa.types.is_decimal256(kind))  # as `datasets` has names for
    plain = pa.types.is_primitive(kind) and not pa.types.is_interval(kind)
    return plain or pa.types.is_null(kind) or kind in (pa.string(), pa.large_string())
