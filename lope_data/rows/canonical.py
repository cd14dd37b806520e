"""Ingest: the rows of a source as those of a version: its own columns, a shape and an id for each, and the layout."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.progress import Notice, silent
from lope_data.errors import SourceError
from lope_data.rows.checking import check_choices, check_column
from lope_data.rows.classes import class_names
from lope_data.rows.columns import Columns
from lope_data.rows.ids import content_ids, given_ids
from lope_data.rows.json_type import as_json, is_json, is_raw, loads
from lope_data.rows.layout import ABSENT, Layout, Names
from lope_data.rows.recognise import no_shape, recognised
from lope_data.rows.shapes import KEYS, OPS, OURS, ROW_ID, SHAPE, SHAPES, Kind
from lope_data.rows.stored import stored
from lope_data.text.buffers import whole
from lope_data.text.draws import Draw, row_hashes

_WIDE = 2**31 - 1  # bytes of text that offsets of 32 bits can count


def ingest_table(
    table: pa.Table,
    where: str,
    shape: str | None,
    columns: Columns,
    limit: int | None,
    seed: int,
    notice: Notice = silent,
) -> pa.Table:
    """The rows of a version, with their layout.

    Args:
        where: the source's name, for messages.
        shape: a shape's name, or None to recognise it, row by row, from the columns.
        limit: keep this many rows, a keyed sample in the source's order.
        notice: called with which columns were recognised under other names, if any were.

    Raises:
        SourceError: no rows, no known shape, a column of the wrong type, a row without text; says row and column.
    """
    if not len(table):
        raise SourceError(f"{where}: has no rows")
    absent = tuple(json.loads((table.schema.metadata or {}).get(ABSENT, b"[]")))
    taken = [name for name in OURS if name in table.column_names and not (name == KEYS and _has_keys(table))]
    if taken:
        raise SourceError(f"{where}: column {taken[0]!r} has a name that versions use; rename it in the source")
    classes = class_names(table.schema)
    table = pa.table(
        {name: stored(_whole(table[name], at), at) for name, at in _places(table.column_names, where).items()}
    )
    own = [name for name in table.column_names if name != KEYS]
    given = columns.given
    found = recognised(own, shape, where, given, columns.id)
    if not found:
        raise no_shape(own, shape, where, _roles(table), given)
    if columns.id is not None:  # in the order of their ids, so that the order of the source decides nothing
        ids = given_ids(whole(table[columns.id]), where)
        order = pc.sort_indices(whole(table[columns.id]))
        table, ids = table.take(order), ids.take(order)
    else:
        ids = content_ids(table.select(own), where)
    raw = [name for name in own if is_json(table[name].type) and is_raw(whole(table[name]))]
    layout = Layout(found, classes, absent, tuple(raw))
    _check(table, layout, where)
    table = _with_texts(table, layout)
    table = table.append_column(ROW_ID, ids)
    table = table.append_column(SHAPE, _marks(table, layout, where, shape))
    table = table.append_column(
        OPS, pa.array([[]], pa.list_(pa.string())).take(pa.array(np.zeros(len(table), np.int64)))
    )
    _say(found, given, own, where, notice)  # not before: what is refused is one line
    if limit is not None and limit < len(table):
        rank = Draw((seed, "limit"), row_hashes(table[ROW_ID])).bits("rank")
        table = table.take(pa.array(np.sort(np.argsort(rank)[:limit])))
    return layout.on(table.combine_chunks())


def _places(names: list[str], where: str) -> dict[str, str]:
    return {name: f"{where}, column {name!r}" for name in names}


def _has_keys(table: pa.Table) -> bool:
    """Whether the reader of JSON has put the column of keys there, and not the source."""
    return ABSENT in (table.schema.metadata or {})


def _say(
    found: Mapping[str, Mapping[str, Names]], given: Mapping[str, Names], own: list[str], where: str, notice: Notice
) -> None:
    """What of the columns was recognised, and where it may be that a label was not."""
    said = {
        column: name for has in found.values() for column, name in has.items() if column != name and column not in given
    }
    if said:
        notice(f"{where}: reading {', '.join(f'{name!r} as {column}' for column, name in said.items())}")
    if list(found) == ["text"] and len(own) > 1:
        name = found["text"]["text"]
        todo = f"to give one, --columns text={name},label=COLUMN"
        notice(f"{where}: reading {name!r} as plain text, without a label; {todo}")


def _whole(column: pa.ChunkedArray, place: str) -> pa.Array:
    """The column in one piece."""
    if column.nbytes >= _WIDE:
        if pa.types.is_string(column.type):
            column = column.cast(pa.large_string())
        elif is_json(column.type):
            column = pa.chunked_array([as_json(chunk.storage.cast(pa.large_string())) for chunk in column.chunks])
    try:
        return whole(column)
    except pa.ArrowException as error:  # offsets of nested text have 32 bits
        raise SourceError(f"{place}: too much text in one column ({error}); split the source") from error


def _roles(table: pa.Table) -> list[str]:
    """The first few roles, where each row seems to be one message of a conversation."""
    names = table.column_names
    name = "role" if "role" in names else "from" if {"from", "value"} <= set(names) else None
    if name is None or not pa.types.is_string(table[name].type):
        return []
    return [role for role in table[name].unique().to_pylist() if role is not None][:5]


def _check(table: pa.Table, layout: Layout, where: str) -> None:
    """That each column holds what its place in a shape asks for."""
    checked: set[tuple[str, Kind]] = set()
    for shape, has in layout.columns.items():
        for role, named in has.items():
            kind = SHAPES[shape].kinds[role]
            if not isinstance(named, str):
                check_choices([whole(table[name]) for name in named], where, named)
            elif (named, kind) not in checked:
                checked.add((named, kind))
                check_column(whole(table[named]), kind, role, where, named)


def _with_texts(table: pa.Table, layout: Layout) -> pa.Table:
    """The table with its texts as strings: a column of JSON may hold nothing else."""
    for shape, has in layout.columns.items():
        for role, name in has.items():
            if SHAPES[shape].kinds[role] == "text" and isinstance(name, str) and is_json(table[name].type):
                texts = [None if text is None else loads(text) for text in table[name].to_pylist()]
                place = table.column_names.index(name)
                table = table.set_column(place, name, pa.array(texts, pa.large_string()))
    return table


def _marks(table: pa.Table, layout: Layout, where: str, asked: str | None) -> pa.Array:
    """The shape of each row: the first whose key column is not null."""
    marks: pa.Array = pa.nulls(len(table), pa.string())
    keys = {shape: has[SHAPES[shape].key] for shape, has in layout.columns.items()}
    for shape, key in keys.items():
        marks = pc.if_else(pc.and_(marks.is_null(), whole(table[key]).is_valid()), shape, marks)
    if marks.null_count:
        row = int(pc.index(marks.is_null(), True).as_py())
        said = " and ".join(map(repr, keys.values())) + (" is" if len(keys) == 1 else " are")
        own = [name for name in table.column_names if name not in OURS]
        others = asked is not None and len(recognised(own, None, where, {})) > 1
        other = ", or leave `shape` out: they may be of another" if others else ""
        raise SourceError(
            f"{where}, row {row}: {said} null ({marks.null_count} such rows in all); remove these rows or fill them "
            f"in{other}"
        )
    return marks
