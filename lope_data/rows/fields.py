"""Where noise goes in a table of mixed shapes: the input texts of its rows, their targets, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.rows.leaves import Leaves, leaves
from lope_data.rows.shapes import ROW_ID, fitting, of_shape
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
    """The input texts of the rows: of a chat its user messages."""
    parts = [
        (name, _of_user(leaves(name, whole(table[name])).present(of_shape(table, shape))))
        for shape in fitting(table)
        for name in shape.inputs
        if name in table.column_names
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


def _of_user(found: Leaves) -> Leaves:
    if found.role is None:
        return found
    return found.select(np.asarray(pc.fill_null(pc.equal(found.role, "user"), False)))


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
    """The targets of that kind, of all shapes that have them."""
    columns = [ROW_ID, "target", *(["choices"] if kind == "choice" else [])]
    places, tables, paths = [np.empty(0, np.int64)], [], [pa.array([], pa.string())]
    for shape in fitting(table):
        if shape.target_kind != kind:
            continue
        mask = of_shape(table, shape)
        mine = np.flatnonzero(mask)
        rows = table.select([shape.target, *(name for name in columns if name != "target")])
        rows = (rows if mask.all() else rows.take(pa.array(mine))).combine_chunks()
        target, path = _target(whole(rows[shape.target]), shape.target)
        places.append(mine)
        paths.append(path)
        tables.append(rows.append_column("target", target).select(columns))
    if not tables:
        schema = {ROW_ID: pa.string(), "target": pa.large_string(), "choices": pa.list_(pa.string())}
        tables = [pa.schema([(name, schema[name]) for name in columns]).empty_table()]
    place = np.concatenate(places)
    found = Targets(place, pa.concat_tables(tables).combine_chunks(), pa.concat_arrays(paths))
    return found if len(tables) == 1 else found.take(np.argsort(place))


def _target(column: pa.Array, name: str) -> tuple[pa.Array, pa.Array]:
    """For each row its target as text and where it is."""
    last = _last_answers(leaves(name, column)) if pa.types.is_nested(column.type) else None
    if last is None:
        path = pa.array([name]).take(pa.array(np.zeros(len(column), np.int64)))
        return column.cast(pa.large_string()), path
    back = np.full(len(column), -1)
    back[last.row] = np.arange(len(last.row))
    index = pa.array(back, mask=back < 0)
    return last.values.take(index), last.path.take(index)


def _last_answers(found: Leaves) -> Leaves:
    """Of each row's texts by the assistant, the last."""
    said: Mask = np.asarray(pc.fill_null(pc.equal(found.role, "assistant"), False)) & np.asarray(
        found.values.is_valid()
    )
    found = found.select(said)
    return found.select(np.append(found.row[1:] != found.row[:-1], True)[: len(found.row)])


def put_targets(table: pa.Table, kind: str, places: I64, values: pa.Array) -> pa.Table:
    """The table with other targets of that kind at the places, ascending; `values` is large_string."""
    for shape in fitting(table):
        if shape.target_kind != kind:
            continue
        hit = np.flatnonzero(of_shape(table, shape)[places])
        if not len(hit):
            continue
        number = table.column_names.index(shape.target)
        old = whole(table[shape.target])
        new = values.take(pa.array(hit))
        if pa.types.is_nested(old.type):
            last = _last_answers(leaves(shape.target, old))
            column = last.select(np.isin(last.row, places[hit])).put(new)
        else:
            source = np.arange(len(old))
            source[places[hit]] = len(old) + np.arange(len(hit))
            column = pa.concat_arrays([old, new.cast(old.type)]).take(pa.array(source))
        table = table.set_column(number, table.schema.field(shape.target), column)
    return table
