"""The text of a value, which label ops see and edits hold, and the value of such a text (FORMAT.md, Columns)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.rows.arrow_types import is_list, is_text
from lope_data.rows.json_type import as_json, dumps, is_json, json_texts

_WIDE = pa.large_string()


def text_of(column: pa.Array, classes: Sequence[str] = ()) -> pa.Array:
    """The texts of values, large_string: strings as they are, numbers of classes as the classes' names, else JSON.

    Args:
        classes: the names that the column's integers stand for, if they do; one that has none is null.
    """
    kind = column.type
    if is_text(kind):
        return column.cast(_WIDE)
    if is_json(kind):
        return json_texts(column).cast(_WIDE)
    if classes:
        known = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(classes)))  # -1: no label
        return pa.array(classes, _WIDE).take(pc.if_else(known, column, None).cast(pa.int64()))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string()).cast(_WIDE)
    return pa.array([None if value is None else _dumped(value) for value in column.to_pylist()], _WIDE)


def value_of(texts: pa.Array, kind: pa.DataType, classes: Sequence[str] = ()) -> pa.Array:
    """The values of a type that have these texts."""
    if is_text(kind):
        return texts.cast(kind)
    if is_json(kind):
        return as_json(texts.cast(kind.storage_type))
    if classes:
        return pc.index_in(texts, pa.array(classes, _WIDE)).cast(kind)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return texts.cast(pa.string()).cast(kind)
    distinct = texts.dictionary_encode()
    known: list[Any] = [json.loads(text) for text in distinct.dictionary.to_pylist()]
    return pa.array(known, kind).take(distinct.indices)


def _dumped(value: Any) -> str:
    try:
        return dumps(value)
    except TypeError:  # a date, for one
        return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))


def is_label(kind: pa.DataType) -> bool:
    """Whether a label may have the type: what JSON can write and read again."""
    if is_list(kind):
        return is_label(kind.value_type)
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return plain or is_text(kind) or is_json(kind)


def answers(column: pa.Array) -> pa.Array:
    """The numbers of right choices, int64. Raises pa.ArrowInvalid: one is not a number."""
    return column.cast(pa.int64())


def joined_choices(columns: Sequence[pa.Array]) -> pa.Array:
    """Several columns of one choice each as a column of lists."""
    count, rows = len(columns), len(columns[0])
    flat = pa.concat_arrays([column.cast(_WIDE) for column in columns])
    order = np.arange(rows * count).reshape(count, -1).T.ravel()  # column by column -> row by row
    offsets = pa.array(np.arange(0, rows * count + 1, count), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, flat.take(pa.array(order)))
