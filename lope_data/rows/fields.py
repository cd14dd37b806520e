"""Where noise goes in a table of mixed shapes: the input texts of its rows, their targets, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.rows.layout import Layout, Names
from lope_data.rows.leaves import Leaves, leaves
from lope_data.rows.shapes import ROW_ID, SHAPE, SHAPES, Shape
from lope_data.rows.values import joined_choices, text_of, value_of
from lope_data.text.buffers import Mask, whole
from lope_data.text.cells import Cells
from lope_data.text.draws import I64


@dataclass(frozen=True)
class Inputs:
    """The input texts of a table, row after row, within a row in the order of the shape's columns.

    Attributes:
        values: large_string without nulls.
        row, path: where each is.
        parts: column, its leaves, and where in `values` each of them stands.
    """

    rows: int
    values: pa.Array
    row: I64
    path: pa.Array
    parts: list[tuple[str, Leaves, I64]]

    def cells(self) -> Cells:
        return Cells.of(self.values, np.searchsorted(self.row, np.arange(self.rows + 1)))

    def put(self, table: pa.Table, values: pa.Array) -> pa.Table:
        """The table with other texts in these places."""
        for name, found, place in self.parts:
            column = found.put(values.take(pa.array(place)))
            table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
        return table


def inputs_of(table: pa.Table) -> Inputs:
    """The input texts of the rows: of a conversation what the user said. The table carries its layout."""
    parts = [
        (name, leaves(name, whole(table[name]), written=written).by("user").present(_of_shape(table, shape.name)))
        for shape, has in _shapes(table)
        for name, written in _input_columns(shape, has)
    ]
    if not parts:
        none = pa.array([], pa.large_string())
        return Inputs(len(table), none, np.empty(0, np.int64), pa.array([], pa.string()), [])
    row = np.concatenate([found.row for _, found in parts])
    order = np.argsort(row, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    cuts = np.cumsum([0, *(len(found.row) for _, found in parts)])
    index = pa.array(order)
    return Inputs(
        len(table),
        pa.concat_arrays([found.values for _, found in parts]).take(index),
        row[order],
        pa.concat_arrays([found.path for _, found in parts]).take(index),
        [(*part, place[cuts[i] : cuts[i + 1]]) for i, part in enumerate(parts)],
    )


def _shapes(table: pa.Table) -> Iterator[tuple[Shape, Mapping[str, Names]]]:
    """The shapes of a table, each with the columns that hold what it has."""
    for name, has in Layout.of(table).columns.items():
        yield SHAPES[name], has


def _of_shape(table: pa.Table, name: str) -> Mask:
    """Which rows have this shape, shape (rows,)."""
    mask: Mask = pc.equal(whole(table[SHAPE]), name).to_numpy(zero_copy_only=False)
    return mask


def _input_columns(shape: Shape, has: Mapping[str, Names]) -> Iterator[tuple[str, bool]]:
    """The columns with input texts, and whether their strings are conversations."""
    for role in shape.inputs:
        if isinstance(name := has.get(role), str):
            yield name, shape.kinds[role] == "messages"


@dataclass(frozen=True)
class Targets:
    """The targets of one kind in a table: outputs and last assistant messages, labels, or answers.

    Attributes:
        places: the rows that have one, ascending.
        table: for each its `lope_row_id`, its `target` as large_string (null: it has none), and its `choices` if its
            kind is `choice`.
        path: where each is.
    """

    places: I64
    table: pa.Table
    path: pa.Array

    def take(self, index: I64) -> Targets:
        chosen = pa.array(index)
        return Targets(self.places[index], self.table.take(chosen), self.path.take(chosen))


def targets_of(table: pa.Table, kind: str) -> Targets:
    """The targets of that kind, of all shapes that have them. The table carries its layout."""
    columns = [ROW_ID, "target", *(["choices"] if kind == "choice" else [])]
    places, tables, paths = [np.empty(0, np.int64)], [], [pa.array([], pa.string())]
    classes = _classes(table, kind)
    for shape, has in _shapes(table):
        if shape.target is None or shape.target_kind != kind:
            continue
        name = has[shape.target]
        assert isinstance(name, str)
        mask = _of_shape(table, shape.name)
        mine = np.flatnonzero(mask)
        rows = (table if mask.all() else table.take(pa.array(mine))).combine_chunks()
        target, path = _target(whole(rows[name]), name, shape, classes.get(name, ()))
        found = {ROW_ID: rows[ROW_ID], "target": target}
        if kind == "choice":
            found["choices"] = _choices(rows, has["choices"])
        places.append(mine)
        paths.append(path)
        tables.append(pa.table({column: found[column] for column in columns}))
    if not tables:
        schema = {ROW_ID: pa.string(), "target": pa.large_string(), "choices": pa.list_(pa.string())}
        tables = [pa.schema([(name, schema[name]) for name in columns]).empty_table()]
    place = np.concatenate(places)
    result = Targets(place, pa.concat_tables(tables).combine_chunks(), pa.concat_arrays(paths))
    return result if len(tables) == 1 else result.take(np.argsort(place))


def _classes(table: pa.Table, kind: str) -> Mapping[str, Sequence[str]]:
    """Column -> the names of its classes. An answer is a number whatever its choices are called."""
    return Layout.of(table).classes if kind == "class" else {}


def _choices(rows: pa.Table, named: Names) -> pa.Array:
    if isinstance(named, str):
        return whole(rows[named])
    return joined_choices([whole(rows[name]) for name in named])


def _target(column: pa.Array, name: str, shape: Shape, classes: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """For each row its target as text and where it is."""
    if shape.target_kind != "response":
        return text_of(column, classes), _paths(name, len(column))
    last = _last_answers(name, column, shape)
    back = np.full(len(column), -1)
    back[last.row] = np.arange(len(last.row))
    index = pa.array(back, mask=back < 0)
    return last.values.take(index), pc.coalesce(last.path.take(index), name)


def _paths(name: str, rows: int) -> pa.Array:
    return pa.array([name]).take(pa.array(np.zeros(rows, np.int64)))


def _last_answers(name: str, column: pa.Array, shape: Shape) -> Leaves:
    """Of each row's last message by the assistant the last text; or the text that stands in no message. A message that
    only calls a tool has none.
    """
    assert shape.target is not None
    found = leaves(name, column, written=shape.kinds[shape.target] == "messages")
    last = np.isin(found.message, found.messages.last("assistant")) | (found.message < 0)
    found = found.select(last & np.asarray(found.values.is_valid()))
    return found.select(np.append(found.row[1:] != found.row[:-1], True)[: len(found.row)])


def put_targets(table: pa.Table, kind: str, places: I64, values: pa.Array) -> pa.Table:
    """The table with other targets of that kind at the places, ascending; `values` is large_string."""
    classes = _classes(table, kind)
    for shape, has in _shapes(table):
        if shape.target is None or shape.target_kind != kind:
            continue
        hit = np.flatnonzero(_of_shape(table, shape.name)[places])
        if not len(hit):
            continue
        name = has[shape.target]
        assert isinstance(name, str)
        number = table.column_names.index(name)
        old = whole(table[name])
        new = values.take(pa.array(hit))
        if kind == "response":
            last = _last_answers(name, old, shape)
            column = last.select(np.isin(last.row, places[hit])).put(new)
        else:
            source = np.arange(len(old))
            source[places[hit]] = len(old) + np.arange(len(hit))
            put = value_of(new, old.type, classes.get(name, ()))
            column = pa.concat_arrays([old, put]).take(pa.array(source))
        table = table.set_column(number, table.schema.field(name), column)
    return table
