"""Chat messages as sources write them, in one form: lists, nested as they come, around `{role, content, ...}`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import SourceError

_NAMES = {"from": "role", "value": "content"}  # as ShareGPT has them
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}


def canonical_messages(column: pa.Array, where: str) -> pa.Array:
    """The column with a list for each conversation, `role` and `content` in each message, and the roles' usual names.

    Taken are lists of structs, structs of lists (what `datasets` made of a sequence of dicts), fixed-size and large
    lists, lists around these, and ShareGPT's `from` and `value`. A content is a text, or a list of texts or parts.

    Raises:
        SourceError: there are no messages in the column, or their roles or contents are no texts.
    """
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        return canonical_messages(column.cast(pa.list_(kind.value_type)), where)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _rebuilt(column, canonical_messages(column.flatten(), where))
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.struct([("role", pa.string()), ("content", pa.string())]))
    names = [_NAMES.get(field.name, field.name) for field in kind] if pa.types.is_struct(kind) else []
    if not {"role", "content"} <= set(names):
        raise SourceError(
            f"{where}, column 'messages': {kind}, where a list of {{role, content}} is needed; name the column of the "
            "messages in a recipe's [columns]"
        )
    children = dict(zip(names, column.flatten(), strict=True))
    if _is_list(children["role"].type):
        return canonical_messages(_transposed(children, where), where)
    return _message(children, column, where)


def _message(children: dict[str, pa.Array], column: pa.Array, where: str) -> pa.Array:
    role = children["role"]
    if not (pa.types.is_string(role.type) or pa.types.is_large_string(role.type) or pa.types.is_null(role.type)):
        raise SourceError(f"{where}, column 'messages': the roles are {role.type}, where text is needed")
    known = pc.index_in(role.cast(pa.string()), pa.array(list(_ROLES)))
    children["role"] = pc.coalesce(pa.array(list(_ROLES.values())).take(known), role.cast(pa.string()))
    content = children["content"]
    if pa.types.is_null(content.type):
        children["content"] = content.cast(pa.string())
    elif not _is_text(content.type):
        raise SourceError(
            f"{where}, column 'messages': the contents are {content.type}, where text, or a list of texts or of parts "
            "with a 'text', is needed"
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


def _rebuilt(column: pa.Array, values: pa.Array) -> pa.Array:
    """A list array with other values."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    large = pa.types.is_large_list(column.type)
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int64() if large else pa.int32())
    mask = column.is_null() if column.null_count else None
    return (pa.LargeListArray if large else pa.ListArray).from_arrays(offsets, values, mask=mask)


def _transposed(children: dict[str, pa.Array], where: str) -> pa.Array:
    """A struct of lists as a list of structs."""
    lists = {name: child for name, child in children.items() if _is_list(child.type)}
    lengths = [pc.fill_null(pc.list_value_length(child), 0) for child in lists.values()]
    for other in lengths[1:]:
        differs = pc.not_equal(lengths[0], other)
        if pc.any(differs).as_py():
            row = pc.index(differs, True).as_py()
            raise SourceError(f"{where}, row {row}, column 'messages': there are not as many roles as contents")
    values = pa.StructArray.from_arrays([child.flatten() for child in lists.values()], names=list(lists))
    return _rebuilt(children["role"], values)
