"""Chat messages as sources write them, in one form: lists, nested as they come, around `{role, content, ...}`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.shapes import MESSAGES, storable
from lope_data.text.draws import I64

_NAMES = {"from": "role", "value": "content"}  # as ShareGPT has them
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}  # in whatever case
_ROLES |= {role: role for role in ("user", "assistant", "system")}
_OF_TOOLS = ("tool", "function", "developer", "function_call", "observation", "tool_call", "tool_response", "ipython")
"""Roles whose messages are neither asked nor answered by anyone; they stand as they are."""
_OTHERS = pa.array([*_OF_TOOLS, None])


@dataclass(frozen=True)
class _Place:
    """A column of a source, for messages; `column` is in quotes."""

    source: str
    column: str

    def at(self, row: Any = None) -> str:
        """The place of a row of it."""
        return f"{self.source}{'' if row is None else f', row {row}'}, column {self.column}"


def canonical_messages(column: pa.Array, source: str, called: str = "'messages'") -> pa.Array:
    """The column with a list for each conversation, `role` and `content` in each message, and the roles' usual names.

    Taken are messages as JSON text, lists of structs, structs of lists (what `datasets` made of a sequence of dicts),
    fixed-size and large lists, lists around these, and ShareGPT's `from` and `value`. A content is a text, or a list of
    texts or parts.

    Args:
        source, called: the source's name, and its name of the column in quotes, for messages.

    Raises:
        SourceError: there are no messages in the column, their roles are unknown, their roles or contents are no texts,
            or a version cannot hold what else they have.
    """
    where = _Place(source, called)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(column, where)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), MESSAGES)
    if not (_is_list(column.type) or pa.types.is_fixed_size_list(column.type) or _is_struct_of_lists(column.type)):
        raise _no_messages(column, where)
    return _canonical(column, np.arange(len(column)), where)


def _parsed(column: pa.Array, where: _Place) -> pa.Array:
    """Messages that were written as JSON text."""
    rows = []
    for row, text in enumerate(column.to_pylist()):
        try:
            found = None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            found = text
        if not isinstance(found, list | None):
            wanted = "a list of {role, content}, nor JSON of one"
            raise SourceError(f"{where.at(row)}: {shown(text)} is not {wanted}")
        rows.append(found)
    try:
        return pa.array(rows)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise SourceError(f"{where.at()}: its JSON makes no column of messages ({error})") from error


def _canonical(column: pa.Array, row: I64, where: _Place) -> pa.Array:
    """The same at any depth; `row` is the row of each value, for messages."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        column = column.cast(pa.list_(kind.value_type))
        kind = column.type
    if _is_list(kind):
        return _rebuilt(column, _canonical(column.flatten(), np.repeat(row, _lengths(column)), where))
    if pa.types.is_null(kind):
        return pa.nulls(len(column), MESSAGES.value_type)
    names = _canonical_names(kind)
    if not {"role", "content"} <= set(names):
        raise _no_messages(column, where)
    children = {name: _decoded(child) for name, child in zip(names, column.flatten(), strict=True)}
    if _is_list(children["role"].type):
        return _canonical(_transposed(children, row, where), row, where)
    return _message(children, column, row, where)


def _no_messages(column: pa.Array, where: _Place) -> SourceError:
    return SourceError(
        f"{where.at()}: {column.type}, where a list of {{role, content}} is needed; name the column of "
        "the messages with --columns messages=COLUMN"
    )


def _canonical_names(kind: pa.DataType) -> list[str]:
    """The fields of a struct under the usual names; a usual name that is there already stays another field's."""
    names = [field.name for field in kind] if pa.types.is_struct(kind) else []
    return [new if (new := _NAMES.get(name, name)) not in names else name for name in names]


def _is_struct_of_lists(kind: pa.DataType) -> bool:
    names = _canonical_names(kind)
    return "role" in names and _is_list(kind.field(names.index("role")).type)


def _decoded(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def _message(children: dict[str, pa.Array], column: pa.Array, row: I64, where: _Place) -> pa.Array:
    role = children["role"]
    if not (pa.types.is_string(role.type) or pa.types.is_large_string(role.type) or pa.types.is_null(role.type)):
        raise SourceError(f"{where.at()}: the roles are {role.type}, where text is needed")
    known = pc.index_in(pc.utf8_lower(role.cast(pa.string())), pa.array(list(_ROLES)))
    unknown = pc.and_(known.is_null(), pc.invert(pc.is_in(pc.utf8_lower(role.cast(pa.string())), _OTHERS)))
    if pc.any(unknown).as_py():
        place = int(pc.index(unknown, True).as_py())
        raise SourceError(
            f"{where.at(row[place])}: unknown role {shown(role[place].as_py())}; rename it to "
            f"one of {', '.join([*dict.fromkeys(_ROLES.values()), *_OF_TOOLS])}"
        )
    children["role"] = pc.coalesce(pa.array(list(_ROLES.values())).take(known), role.cast(pa.string()))
    content = children["content"]
    if pa.types.is_null(content.type):
        children["content"] = content.cast(pa.string())
    elif not _is_text(content.type):
        raise SourceError(
            f"{where.at()}: the contents are {content.type}, where text, or a list of texts or of parts "
            "with a 'text', is needed"
        )
    for name, child in children.items():
        if not storable(child.type):
            raise SourceError(
                f"{where.at()}: a version cannot hold {name!r}, which is {child.type}; drop or convert it"
            )
    mask = column.is_null() if column.null_count else None
    return pa.StructArray.from_arrays(list(children.values()), names=list(children), mask=mask)


def _is_text(kind: pa.DataType) -> bool:
    if _is_list(kind):
        return _is_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(field.name == "text" and _is_text(field.type) for field in kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _lengths(column: pa.Array) -> I64:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)


def _rebuilt(column: pa.Array, values: pa.Array) -> pa.Array:
    """A list array with other values."""
    large = pa.types.is_large_list(column.type)
    offsets = pa.array(np.concatenate(([0], np.cumsum(_lengths(column)))), pa.int64() if large else pa.int32())
    mask = column.is_null() if column.null_count else None
    return (pa.LargeListArray if large else pa.ListArray).from_arrays(offsets, values, mask=mask)


def _transposed(children: dict[str, pa.Array], row: I64, where: _Place) -> pa.Array:
    """A struct of lists as a list of structs."""
    lengths = _lengths(children["role"])
    for name, child in children.items():
        if not _is_list(child.type):
            raise SourceError(
                f"{where.at()}: {name!r} is {child.type} beside a list of roles, where a list with one "
                "value a message is needed"
            )
        differs = np.flatnonzero(_lengths(child) != lengths)
        if len(differs):
            here, there = _lengths(child)[differs[0]], lengths[differs[0]]
            raise SourceError(f"{where.at(row[differs[0]])}: {there} of 'role', but {here} of {name!r}")
    values = pa.StructArray.from_arrays([child.flatten() for child in children.values()], names=list(children))
    return _rebuilt(children["role"], values)
