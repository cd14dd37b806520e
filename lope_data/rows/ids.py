"""Ids of rows: a hash of what they hold, or the ids that the source gives them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.json_type import is_json, is_unicode, loads, type_name
from lope_data.text.buffers import whole

_ROWS = 1 << 14  # hashed at a time, so that their bytes stay in the processor's cache
_HEX = np.array([f"{byte:02x}".encode() for byte in range(256)], "S2")


def content_ids(table: pa.Table, where: str) -> pa.Array:
    """128 bits of the canonical row as hex; the second and later of equal rows get `-1`, `-2`, ...

    Raises:
        SourceError: a value that cannot be read.
    """
    columns = [(name, table[name]) for name in sorted(table.column_names)]
    digests = b"".join(
        _digests([(name, column.slice(low, _ROWS)) for name, column in columns], where)
        for low in range(0, len(table), _ROWS)
    )
    ids = np.ascontiguousarray(_HEX[np.frombuffer(digests, np.uint8)]).view("S32")
    again = _occurrences(np.frombuffer(digests, np.uint64).reshape(-1, 2))
    plain = pa.array(ids, pa.binary(32)).cast(pa.binary()).cast(pa.string())
    if not again.any():
        return plain
    return pa.array(
        [f"{i}-{n}" if n else i for i, n in zip(plain.to_pylist(), again.tolist(), strict=True)], pa.string()
    )


def given_ids(ids: pa.Array, where: str) -> pa.Array:
    """The ids of a source as strings.

    Raises:
        SourceError: one is null, is no string or integer, or stands on two rows.
    """
    if ids.null_count:
        raise SourceError(f"{where}, row {pc.index(ids.is_null(), True).as_py()}: the id is null; give every row one")
    if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise SourceError(f"{where}: ids must be strings or integers, not {type_name(ids.type)}")
    text = ids.cast(pa.string())
    counts = pc.value_counts(text)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise SourceError(
            f"{where}: the id {shown(repeated[0]['values'].as_py())} stands on {repeated[0]['counts'].as_py()} rows; "
            "ids must be unique"
        )
    return text


def _digests(columns: list[tuple[str, pa.ChunkedArray]], where: str) -> bytes:
    """The XXH3-128 hash of each row, over `name=:`, bytes, text of each column that holds something; where that could
    be read in two ways, since a name or text holds `=:`, over each name and text after its length.
    """
    wide = pa.large_string()
    parts, texts = [], []
    marked = np.zeros(len(columns[0][1]), np.bool_)
    for name, column in columns:  # a null says nothing, so a row's id does not hang on others' columns
        try:
            text = _text(whole(column))
        except (pa.ArrowException, OverflowError, ValueError) as error:  # an unknown time zone, a date out of range
            raise SourceError(f"{where}, column {name!r}: it holds values that cannot be read ({error})") from error
        texts.append((name, text))
        there = text.is_valid() if _MARK in name else pc.fill_null(pc.match_substring(text, _MARK), False)
        marked |= np.asarray(there)
        length = pc.binary_length(text).cast(wide)
        cell = pc.binary_join_element_wise(pa.scalar(f"{name}=:", wide), length, text, _NOTHING)
        parts.append(pc.fill_null(cell, "") if cell.null_count else cell)
    rows = pc.binary_join_element_wise(*parts, _NOTHING) if len(parts) > 1 else parts[0]
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int64)[rows.offset : rows.offset + len(rows) + 1].tolist()
    view = memoryview(data) if data is not None else memoryview(b"")
    digest = xxhash.xxh3_128_digest
    found = [digest(view[low:high]) for low, high in pairwise(ends)]
    for row in np.flatnonzero(marked).tolist():
        cells = [(name.encode(), text[row].as_py()) for name, text in texts]
        held = [(name, value.encode()) for name, value in cells if value is not None]
        plain = b"".join(b"%d:%b%d:%b" % (len(name), name, len(value), value) for name, value in held)
        found[row] = digest(_MARK.encode() + plain)
    return b"".join(found)


_MARK = "=:"
_NOTHING = pa.scalar("", pa.large_string())


def _occurrences(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """How many equal keys stand before each."""
    low = np.sort(keys[:, 1])
    if not (low[1:] == low[:-1]).any():
        return np.zeros(len(keys), np.int64)
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # keeps the order of equal ones
    ordered = keys[order]
    new = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
    place = np.arange(len(keys))
    count = np.empty(len(keys), np.int64)
    count[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    return count


def _text(column: pa.Array) -> pa.Array:
    """A text of each value that does not hang on the type of its column: strings as they are, the rest as JSON."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.large_string())
    values = column.to_pylist()
    if is_json(column.type):
        values = [None if text is None else loads(text) for text in values]
    return pa.array([None if value is None else _value_text(value) for value in values], pa.large_string())


def _value_text(value: Any) -> str:
    if isinstance(value, str) and is_unicode(value):
        return value
    return json.dumps(value, sort_keys=True, default=str)
