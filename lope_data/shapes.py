"""The shapes of rows: which columns they have, where text noise goes, and where label noise goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.cells import Cells

ROW_ID, SHAPE, OPS = "lope_row_id", "lope_shape", "lope_ops"


@dataclass(frozen=True)
class Shape:
    """`key`: the column whose presence marks a row; `required` and `optional`: column -> Arrow type."""

    name: str
    key: str
    required: dict[str, pa.DataType]
    optional: dict[str, pa.DataType]
    inputs: tuple[str, ...]
    target: str

    @property
    def columns(self) -> dict[str, pa.DataType]:
        return self.required | self.optional


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "instruction",
            key="instruction",
            required={"instruction": pa.string(), "output": pa.string()},
            optional={"input": pa.string()},
            inputs=("instruction", "input"),
            target="output",
        ),
        Shape(
            "multiple_choice",
            key="question",
            required={"question": pa.string(), "choices": pa.list_(pa.string()), "answer": pa.int64()},
            optional={},
            inputs=("question",),
            target="answer",
        ),
        Shape(
            "classification",
            key="text",
            required={"text": pa.string(), "label": pa.string()},
            optional={},
            inputs=("text",),
            target="label",
        ),
    )
}


def input_columns(table: pa.Table) -> list[str]:
    """The columns that text noise may touch, in a fixed order: the inputs of the shapes that the columns fit."""
    names = set(table.column_names)
    return [
        column
        for shape in SHAPES.values()
        if set(shape.required) <= names
        for column in shape.inputs
        if column in names
    ]


def owned(table: pa.Table, column: str) -> pa.Array:
    """Whether each row's shape has this column, as a boolean array."""
    shapes = [shape.name for shape in SHAPES.values() if column in shape.columns]
    return pc.is_in(table[SHAPE].combine_chunks(), pa.array(shapes))


def cells_of(table: pa.Table) -> Cells:
    """The input text of each row: one cell for each of `input_columns`, empty where the row's shape lacks it."""
    columns = input_columns(table)
    values = [
        pc.if_else(owned(table, name), table[name].combine_chunks().cast(pa.large_string()), None) for name in columns
    ]
    rows, width = len(table), len(columns)
    row_major = (np.arange(width) * rows)[None, :] + np.arange(rows)[:, None]
    return Cells.of(pa.concat_arrays(values).take(pa.array(row_major.ravel())), width)
