"""Values that Arrow has no type for, as JSON text in a column of its extension type `arrow.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.text.buffers import whole

DEEPEST = 250
"""How deep lists and objects may nest in a JSON text: far less than Python's readers and writers bear."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS = bytes({"[": 1, "{": 1, "]": 255, "}": 255}.get(chr(byte), 0) for byte in range(256))  # as int8: 1 in, -1 out
_SUSPECT = r"[0-9]{19}|NaN|Infinity|\\u[dD]"


def is_json(kind: pa.DataType) -> bool:
    """Whether it is Arrow's type for JSON."""
    return isinstance(kind, pa.JsonType)


def type_name(kind: pa.DataType) -> str:
    """The name of a column's type, for people."""
    return "JSON" if is_json(kind) else str(kind)


def json_texts(column: pa.Array) -> pa.Array:
    """The texts of a column of JSON."""
    return column.storage


def as_json(texts: pa.Array) -> pa.Array:
    """JSON texts, of either width, as a column of JSON."""
    return pa.ExtensionArray.from_storage(pa.json_(texts.type), texts)


def json_column(values: list[Any]) -> pa.Array:
    """Python values as a column of JSON; None is null."""
    texts = [None if value is None else dumps(value) for value in values]
    try:
        return as_json(pa.array(texts, pa.string()))
    except pa.ArrowException:  # more than 32 bits can count
        return as_json(pa.array(texts, pa.large_string()))


def storage(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece, JSON as its text."""
    array = whole(column)
    return json_texts(array) if is_json(array.type) else array


def bare(table: pa.Table) -> pa.Table:
    """The table with columns of JSON as text, for libraries that have no such type."""
    for number, field in enumerate(table.schema):
        if is_json(field.type):
            texts = pa.chunked_array([chunk.storage for chunk in table[number].chunks], field.type.storage_type)
            table = table.set_column(number, field.name, texts)
    return table


def is_raw(column: pa.Array) -> bool:
    """Whether a column of JSON holds what readers of JSON differ about: integers beyond 64 bits, NaN, the infinities,
    half a surrogate pair.
    """
    suspect = column.storage.filter(pc.match_substring_regex(column.storage, _SUSPECT))
    return any(_is_raw(loads(text)) for text in suspect.to_pylist() if text is not None)


def too_deep(texts: pa.Array) -> int | None:
    """The first row whose JSON text nests lists and objects more than `DEEPEST` deep; None where none does."""
    return next(rows_too_deep(texts), None)


def rows_too_deep(texts: pa.Array) -> Iterator[int]:
    """All such rows."""
    opened = pc.fill_null(pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{")), 0)
    for row in np.flatnonzero(np.asarray(opened) > DEEPEST).tolist():
        steps = _STRING.sub(b"", texts[row].as_py().encode()).translate(_STEPS)
        if np.frombuffer(steps, np.int8).cumsum(dtype=np.int64).max(initial=0) > DEEPEST:
            yield int(row)


def _is_raw(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_raw(item) or not is_unicode(key) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_is_raw, value))
    if isinstance(value, str):
        return not is_unicode(value)
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    return isinstance(value, float) and not math.isfinite(value)


def loads(text: str) -> Any:
    """The value of a JSON text, integers of any size as they are.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text)


def dumps(value: Any) -> str:
    """The JSON text of a value, without white space; NaN and the infinities as Python writes them."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if is_unicode(text) else json.dumps(value, separators=(",", ":"))


def read_quickly(text: str) -> Any:
    """As `loads`, where it does not matter that an integer beyond 64 bits becomes a double."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return loads(text)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it: an escape of JSON can be half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
