"""Rows in a form as lines of JSON: each row with its own keys in its own order, JSON of the source word for word."""

from __future__ import annotations

import re
from itertools import chain

import pyarrow as pa

from lope_data.forms.shaping import Part
from lope_data.rows.json_type import dumps, is_json, json_texts, loads
from lope_data.rows.shapes import OURS
from lope_data.text.buffers import whole
from lope_data.transfer.row_text import json_text, json_values

_BREAKS = re.compile(r"[\r\n]")  # in JSON of a source in Arrow's own type, which is as it was written


def part_lines(part: Part) -> bytes:
    """The rows as lines of JSON. NaN and the infinities are as `row_text` has them, but within JSON of the source."""
    pieces = {name: _pieces(name, whole(part.rest[name]), name in part.absent) for name in part.rest.column_names}
    made = [dumps(row)[1:-1] for row in part.made]
    if part.keys is None:
        columns = [*([made] if made else []), *pieces.values()]
        lines = [", ".join(filter(None, row)) for row in zip(*columns, strict=True)]
    else:
        ours = [name for name in OURS if name in pieces]
        order = (chain(keys or (), ours) for keys in part.keys.to_pylist())
        rows = ([pieces[name][number] for name in names if name in pieces] for number, names in enumerate(order))
        lines = [", ".join(filter(None, [*made[number : number + 1], *row])) for number, row in enumerate(rows)]
    return "".join(f"{{{line}}}\n" for line in lines).encode()


def _pieces(name: str, column: pa.Array, absent: bool) -> list[str]:
    """`"name": value` of each row; nothing where null means that there is no such key."""
    head = f"{json_text(name)}: "
    null = "" if absent else f"{head}null"
    return [null if text is None else head + text for text in _texts(column)]


def _texts(column: pa.Array) -> list[str | None]:
    kind = column.type
    values = json_texts(column) if is_json(kind) else column
    if is_json(kind):
        return [dumps(loads(text)) if text and _BREAKS.search(text) else text for text in values.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        texts: list[str | None] = values.cast(pa.string()).to_pylist()
        return texts
    return [None if value is None else json_text(value) for value in json_values(values)]
