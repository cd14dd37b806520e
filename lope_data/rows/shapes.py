"""The shapes of rows: which columns they have, where text noise goes, and where label noise goes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lope_data.text.buffers import Mask, whole

ROW_ID, SHAPE, OPS = "lope_row_id", "lope_shape", "lope_ops"
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@dataclass(frozen=True)
class Shape:
    """`key`: the column whose presence marks a row; `required` and `optional`: column -> Arrow type; `target_kind`:
    what label ops see in the target: a `response`, a `choice` or a `class`.
    """

    name: str
    key: str
    required: dict[str, pa.DataType]
    optional: dict[str, pa.DataType]
    inputs: tuple[str, ...]
    target: str
    target_kind: str

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
            target_kind="response",
        ),
        Shape(
            "multiple_choice",
            key="question",
            required={"question": pa.string(), "choices": pa.list_(pa.string()), "answer": pa.int64()},
            optional={},
            inputs=("question",),
            target="answer",
            target_kind="choice",
        ),
        Shape(
            "classification",
            key="text",
            required={"text": pa.string(), "label": pa.string()},
            optional={},
            inputs=("text",),
            target="label",
            target_kind="class",
        ),
        Shape(
            "chat",
            key="messages",
            required={"messages": MESSAGES},  # in any nesting that `leaves` walks
            optional={},
            inputs=("messages",),
            target="messages",
            target_kind="response",
        ),
    )
}


def fitting(table: pa.Table) -> list[Shape]:
    """The shapes that the table's columns fit."""
    names = set(table.column_names)
    return [shape for shape in SHAPES.values() if set(shape.required) <= names]


def of_shape(table: pa.Table, shape: Shape) -> Mask:
    """Which rows have this shape, shape (rows,)."""
    mask: Mask = pc.equal(whole(table[SHAPE]), shape.name).to_numpy(zero_copy_only=False)
    return mask


def storable(kind: pa.DataType) -> bool:
    """Whether a version can hold the type: text, numbers, booleans, dates and times, and lists and structs of these."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return storable(kind.value_type)
    if pa.types.is_struct(kind):
        return all(storable(field.type) for field in kind)
    if pa.types.is_decimal(kind):
        return bool(pa.types.is_decimal128(kind) or pa.types.is_decimal256(kind))  # as `datasets` has names for
    plain = pa.types.is_primitive(kind) and not pa.types.is_interval(kind)
    return plain or pa.types.is_null(kind) or kind in (pa.string(), pa.large_string())
