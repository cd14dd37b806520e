"""Rows as lines of JSON, and back to the very values; rows as columns that CSV can hold.

JSON has no dates, decimals, NaN or infinities: they are written as text; times of day and durations as whole numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from lope_data.rows.json_type import as_json, bare, is_json


def json_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with a type that JSON has in the place of every other; JSON itself as text."""
    return pa.schema([pa.field(field.name, _json_type(field.type)) for field in schema])


def _json_type(kind: pa.DataType) -> pa.DataType:
    if is_json(kind):
        return kind.storage_type
    if pa.types.is_list(kind):
        return pa.list_(_json_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_json_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _json_type(field.type)) for field in kind])
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        return pa.int32() if pa.types.is_time32(kind) else pa.int64()
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return pa.string()
    return kind


def to_json_lines(rows: pa.Table) -> bytes:
    """The rows as lines of JSON, every column in every line; JSON is written as the text that the version holds."""
    rows = bare(rows)
    return "".join(json_text(row) + "\n" for row in rows.cast(json_schema(rows.schema)).to_pylist()).encode()


def json_values(column: pa.Array) -> list[Any]:
    """Values that JSON has for those of a column."""
    values: list[Any] = column.cast(_json_type(column.type)).to_pylist()
    return values


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # json.dumps would make one each time


def json_text(value: Any) -> str:
    """The JSON text of such a value, NaN and the infinities as text."""
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_named(value))


def _named(value: Any) -> Any:
    """NaN and the infinities as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value


def from_json_lines(lines: Iterable[bytes], schema: pa.Schema, first: int) -> pa.Table:
    """Rows from lines that `to_json_lines` wrote.

    Args:
        first: the number of the first line, for messages.

    Raises:
        ValueError: a line is no such row; names it.
    """
    names = set(schema.names)
    floating = [field.name for field in schema if _has_floats(field.type)]
    rows = []
    for number, line in enumerate(lines, start=first):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
        if not isinstance(row, dict) or row.keys() != names:
            raise ValueError(f"line {number} has not the columns {', '.join(schema.names)}")
        for name in floating:
            row[name] = _numbered(row[name], schema.field(name).type)
        rows.append(row)
    try:
        table = pa.Table.from_pylist(rows, json_schema(schema)).combine_chunks()
        columns = [_typed(table[field.name].chunk(0), field.type) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"lines {first} to {first + len(rows) - 1}: {error}") from None


def _typed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """What JSON gave, as its type. Arrow's own cast trips over what stands under the nulls of a struct."""
    if values.type.equals(kind):
        return values
    if is_json(kind):
        return as_json(values)
    if pa.types.is_struct(kind):
        items = [_typed(item, field.type) for item, field in zip(values.flatten(), kind, strict=True)]
        return pa.StructArray.from_arrays(items, fields=list(kind), mask=values.is_null())
    if pa.types.is_nested(kind):
        lists = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
        return lists.from_arrays(values.offsets, _typed(values.values, kind.value_type), kind, mask=values.is_null())
    return values.cast(kind)


def _has_floats(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_floats(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_floating(kind))


def _numbered(value: Any, kind: pa.DataType) -> Any:
    """What `_named` wrote as text, as numbers again."""
    if pa.types.is_floating(kind):
        return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
    if isinstance(value, dict) and pa.types.is_struct(kind):
        return {field.name: _numbered(value.get(field.name), field.type) for field in kind}
    if isinstance(value, list) and pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        return [_numbered(item, kind.value_type) for item in value]
    return value


def to_flat(rows: pa.Table) -> pa.Table:
    """The rows with lists, structs and JSON as JSON text, which a cell of a CSV file can hold."""
    rows = bare(rows)
    for i, field in enumerate(rows.schema):
        if pa.types.is_nested(field.type):
            values = rows[field.name].cast(_json_type(field.type)).to_pylist()
            texts = [None if value is None else json_text(value) for value in values]
            rows = rows.set_column(i, field.name, pa.array(texts, pa.string()))
    return rows
