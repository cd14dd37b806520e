"""The texts inside a column, however it is nested, and the way back: other texts in the same places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.conversations import NOBODY, role_key, text_key
from lope_data.rows.arrow_types import is_list, is_text
from lope_data.rows.documents import document_leaves
from lope_data.rows.json_type import as_json, is_json, json_texts
from lope_data.rows.roles import usual_roles
from lope_data.text.buffers import Mask
from lope_data.text.draws import I64, ranges


@dataclass(frozen=True)
class Messages:
    """The messages in a column, those without text too: for each its row, and who says it, as `roles` has it."""

    row: I64
    role: pa.Array

    def last(self, role: str) -> I64:
        """For each row that has one the last message by this role, ascending."""
        mine: I64 = np.flatnonzero(np.asarray(pc.equal(self.role, role)))
        last: I64 = mine[np.append(np.diff(self.row[mine]) != 0, True)[: len(mine)]]
        return last


_NO_MESSAGES = Messages(np.empty(0, np.int64), pa.array([], pa.string()))


@dataclass(frozen=True)
class Leaves:
    """Texts of a column.

    Attributes:
        values: the texts, large_string; null where the column has none.
        row: the row of each, ascending.
        path: where each is, from the column on: `input`, `messages[3].content`.
        message: in which of the messages it stands; -1 where in none.
        messages: all that the column has.
        put: other texts in these places -> the whole column.
    """

    values: pa.Array
    row: I64
    path: pa.Array
    message: I64
    messages: Messages
    put: Callable[[pa.Array], pa.Array]

    @property
    def role(self) -> pa.Array:
        """Who says each text; null where it stands in no message."""
        return self.messages.role.take(pa.array(self.message, mask=self.message < 0))

    def select(self, keep: Mask) -> Leaves:
        """The leaves where `keep` is true; `put` then leaves the others as they are."""
        index = np.flatnonzero(keep)
        chosen = pa.array(index)

        def put(values: pa.Array) -> pa.Array:
            source = np.arange(len(self.values))
            source[index] = len(self.values) + np.arange(len(index))
            return self.put(pa.concat_arrays([self.values, values]).take(pa.array(source)))

        path, message = self.path.take(chosen), self.message[index]
        return Leaves(self.values.take(chosen), self.row[index], path, message, self.messages, put)

    def present(self, keep: Mask) -> Leaves:
        """The leaves that hold text, where `keep`, a mask of the column's rows, is true."""
        return self.select(np.asarray(self.values.is_valid()) & keep[self.row])

    def by(self, role: str) -> Leaves:
        """Those that stand in no message, or in one by this role."""
        return self.select(np.asarray(pc.fill_null(pc.equal(self.role, role), True)))


def leaves(name: str, column: pa.Array, *, written: bool = False) -> Leaves:
    """The texts of a column: its values, or the contents of messages in any nesting of lists around `{role, content}`
    or `{from, value}`, where a content is a text, or a list of texts or of `{type, text}` parts.

    Args:
        written: whether its strings are conversations, as JSON.
    """
    if is_json(column.type):
        found = _of_documents(json_texts(column), as_json)
    elif written and is_text(column.type):
        found = _of_documents(column, lambda texts: texts)
    else:
        found = _walk(column).leaves
    path = pc.binary_join_element_wise(pa.scalar(name, pa.string()), found.path, "")
    return Leaves(found.values, found.row, path, found.message, found.messages, found.put)


def holds_texts(kind: pa.DataType) -> bool:
    """Whether `leaves` may find texts in a column of the type."""
    while is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        child = text_key([part.name for part in kind])
        return child is not None and holds_texts(kind.field(child).type)
    return is_json(kind) or is_text(kind)


def _of_documents(texts: pa.Array, wrapped: Callable[[pa.Array], pa.Array]) -> Leaves:
    found = document_leaves(texts.to_pylist())

    def put(values: pa.Array) -> pa.Array:
        return wrapped(pa.array(found.put(values.to_pylist()), texts.type))

    return Leaves(
        pa.array(found.values, pa.large_string()),
        np.array(found.row, np.int64),
        pa.array(found.path, pa.string()),
        np.array(found.message, np.int64),
        Messages(np.array(found.message_row, np.int64), pa.array(found.role, pa.string())),
        put,
    )


@dataclass(frozen=True)
class _Walked:
    """Leaves of a nested array; `item`: of a list, which of all its items each stands in."""

    leaves: Leaves
    item: I64


def _walk(column: pa.Array) -> _Walked:
    kind = column.type
    rows = np.arange(len(column))
    if is_text(kind):
        path = pa.array([""]).take(pa.array(np.zeros(len(column), np.int64)))
        none = np.full(len(column), -1)
        values = column.cast(pa.large_string())
        return _Walked(Leaves(values, rows, path, none, _NO_MESSAGES, lambda v: v.cast(kind)), rows)
    if is_list(kind):
        return _walk_list(column)
    if pa.types.is_struct(kind):
        names = [part.name for part in kind]
        if (child := text_key(names)) is not None:
            return _walk_struct(column, names, child)
    nothing = pa.array([], pa.string())
    empty = np.empty(0, np.int64)
    values = nothing.cast(pa.large_string())
    return _Walked(Leaves(values, empty, nothing, empty, _NO_MESSAGES, lambda _: column), empty)


def _walk_list(column: pa.Array) -> _Walked:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    inner = _walk(column.flatten()).leaves
    owner, place = np.repeat(np.arange(len(column)), lengths), ranges(lengths)
    number = pc.binary_join_element_wise("[", pa.array(place[inner.row]).cast(pa.string()), "]", inner.path, "")
    large = pa.types.is_large_list(column.type)
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int64() if large else pa.int32())
    build = (pa.LargeListArray if large else pa.ListArray).from_arrays
    mask = column.is_null() if column.null_count else None

    def put(values: pa.Array) -> pa.Array:
        return build(offsets, inner.put(values), type=column.type, mask=mask)

    messages = Messages(owner[inner.messages.row], inner.messages.role)
    return _Walked(Leaves(inner.values, owner[inner.row], number, inner.message, messages, put), inner.row)


def _walk_struct(column: pa.Array, names: list[str], child: str) -> _Walked:
    children = column.flatten()
    walked = _walk(children[names.index(child)])
    inner = walked.leaves
    message, messages = inner.message, inner.messages
    if said_by := role_key(names):
        roles = children[names.index(said_by)]
        row, message = np.arange(len(column)), inner.row
        if is_list(roles.type):  # a struct of lists: one role for each item of the other list
            lengths = np.asarray(pc.fill_null(pc.list_value_length(roles), 0)).astype(np.int64)
            row, message, roles = np.repeat(row, lengths), walked.item, roles.flatten()
        messages = Messages(row, pc.fill_null(usual_roles(roles), NOBODY))
    mask = column.is_null() if column.null_count else None

    def put(values: pa.Array) -> pa.Array:
        new = [inner.put(values) if name == child else old for name, old in zip(names, children, strict=True)]
        return pa.StructArray.from_arrays(new, fields=list(column.type), mask=mask)

    path = pc.binary_join_element_wise(pa.scalar(f".{child}", pa.string()), inner.path, "")
    return _Walked(Leaves(inner.values, inner.row, path, message, messages, put), inner.row)
