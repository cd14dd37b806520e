"""The texts inside a column, however it is nested, and the way back: other texts in the same places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.text.buffers import Mask
from lope_data.text.draws import I64, ranges


@dataclass(frozen=True)
class Leaves:
    """Texts of a column.

    Attributes:
        values: the texts, large_string; null where the column has none.
        row: the row of each, ascending.
        path: where each is, from the column on: `input`, `messages[3].content`.
        role: for texts of chat messages, whose each is.
        put: other texts in these places -> the whole column.
    """

    values: pa.Array
    row: I64
    path: pa.Array
    role: pa.Array | None
    put: Callable[[pa.Array], pa.Array]

    def select(self, keep: Mask) -> Leaves:
        """The leaves where `keep` is true; `put` then leaves the others as they are."""
        index = np.flatnonzero(keep)
        chosen = pa.array(index)

        def put(values: pa.Array) -> pa.Array:
            source = np.arange(len(self.values))
            source[index] = len(self.values) + np.arange(len(index))
            return self.put(pa.concat_arrays([self.values, values]).take(pa.array(source)))

        role = None if self.role is None else self.role.take(chosen)
        return Leaves(self.values.take(chosen), self.row[index], self.path.take(chosen), role, put)

    def present(self, keep: Mask) -> Leaves:
        """The leaves that hold text, where `keep`, a mask of the column's rows, is true."""
        return self.select(np.asarray(self.values.is_valid()) & keep[self.row])


def leaves(name: str, column: pa.Array) -> Leaves:
    """The texts of a column: its values, or the contents of chat messages in any nesting of lists around
    `{role, content}`, where a content is a text, or a list of texts or of `{type, text}` parts.
    """
    found = _walk(column)
    path = pc.binary_join_element_wise(pa.scalar(name, pa.string()), found.path, "")
    return Leaves(found.values, found.row, path, found.role, found.put)


def _walk(column: pa.Array) -> Leaves:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        path = pa.array([""]).take(pa.array(np.zeros(len(column), np.int64)))
        rows = np.arange(len(column))
        return Leaves(column.cast(pa.large_string()), rows, path, None, lambda values: values.cast(kind))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _walk_list(column)
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        for child in ("content", "text"):
            if child in names:
                return _walk_struct(column, names, child)
    none = pa.array([], pa.large_string())
    return Leaves(none, np.empty(0, np.int64), pa.array([], pa.string()), None, lambda values: column)  # noqa: ARG005


def _walk_list(column: pa.Array) -> Leaves:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    inner = _walk(column.flatten())
    owner, place = np.repeat(np.arange(len(column)), lengths), ranges(lengths)
    number = pc.binary_join_element_wise("[", pa.array(place[inner.row]).cast(pa.string()), "]", inner.path, "")
    large = pa.types.is_large_list(column.type)
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int64() if large else pa.int32())
    build = (pa.LargeListArray if large else pa.ListArray).from_arrays
    mask = column.is_null() if column.null_count else None

    def put(values: pa.Array) -> pa.Array:
        return build(offsets, inner.put(values), type=column.type, mask=mask)

    return Leaves(inner.values, owner[inner.row], number, inner.role, put)


def _walk_struct(column: pa.Array, names: list[str], child: str) -> Leaves:
    children = column.flatten()
    inner = _walk(children[names.index(child)])
    role = inner.role
    if "role" in names:
        role = children[names.index("role")].cast(pa.string()).take(pa.array(inner.row))
    mask = column.is_null() if column.null_count else None

    def put(values: pa.Array) -> pa.Array:
        new = [inner.put(values) if name == child else old for name, old in zip(names, children, strict=True)]
        return pa.StructArray.from_arrays(new, fields=list(column.type), mask=mask)

    path = pc.binary_join_element_wise(pa.scalar(f".{child}", pa.string()), inner.path, "")
    return Leaves(inner.values, inner.row, path, role, put)
