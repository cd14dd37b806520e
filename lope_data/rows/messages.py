"""Whether a column holds conversations, in any of the ways that sources write them. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.conversations import role_key, text_key, usual_role
from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.arrow_types import is_list, is_text
from lope_data.rows.json_type import DEEPEST, dumps, is_json, json_texts, read_quickly, too_deep
from lope_data.rows.roles import unknown_role, usual_roles
from lope_data.text.draws import I64

Place = Callable[[int | None], str]
"""The place of a row of the column, or of the column, for messages."""
_HINT = "name the column of the messages with --columns messages=COLUMN"
_WANTED = "a list of {role, content}"


def check_messages(column: pa.Array, at: Place, *, written: bool, or_text: bool) -> None:
    """Checks a column.

    Args:
        written: whether its strings are conversations, as JSON.
        or_text: whether a text may stand there in place of a conversation.

    Raises:
        SourceError: a row holds no messages, a role is unknown, or a content is no text.
    """
    if is_json(column.type):
        _check_documents(json_texts(column), at, or_text=or_text)
    elif is_text(column.type):
        if written:
            _check_documents(column, at, or_text=False)
    else:
        _check(column, np.arange(len(column)), at)


def _check_documents(texts: pa.Array, at: Place, *, or_text: bool) -> None:
    if (deep := too_deep(texts)) is not None:
        raise SourceError(f"{at(deep)}: nested more than {DEEPEST} deep, which no conversation is; {_HINT}")
    for row, text in enumerate(texts.to_pylist()):
        if text is None:
            continue
        try:
            value = read_quickly(text)
        except (ValueError, RecursionError):
            value = text
        try:
            if isinstance(value, str) and or_text:
                value.encode()
            elif value is not None:
                _check_value(value)
        except ValueError as error:  # of a text that is half a surrogate pair, too
            raise SourceError(f"{at(row)}: {_reason(error)}") from None


def _reason(error: ValueError) -> str:
    return f"not valid Unicode ({error.reason})" if isinstance(error, UnicodeEncodeError) else str(error)


def _check_value(value: Any) -> None:
    """A conversation, or a list of them. Raises ValueError: it is neither; says why."""
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not {_WANTED}; {_HINT}")
    for item in value:
        if isinstance(item, dict):
            _check_message(item)
        elif item is not None:
            _check_value(item)


def _check_message(message: dict[str, Any]) -> None:
    if (said_by := role_key(message)) is None:
        raise ValueError(f"{_shown(message)} has no role, as a message must; {_HINT}")
    role = message[said_by]
    if not isinstance(role, str | None):
        raise ValueError(f"the role {_shown(role)} is no text")
    if usual_role(role) is None:
        raise ValueError(unknown_role(role))
    if (child := text_key(message)) is not None:
        _check_content(message[child])
    elif usual_role(role) in ("user", "system"):
        raise ValueError(f"{_shown(message)} has no content, as what a {role} says must; {_HINT}")


def _check_content(content: Any) -> None:
    if isinstance(content, str):
        content.encode()
    elif isinstance(content, list):
        for part in content:
            _check_content(part)
    elif isinstance(content, dict):
        if (child := text_key(content)) is not None:
            _check_content(content[child])
    elif content is not None:
        raise ValueError(f"the content {_shown(content)} is neither text nor a list of texts or of parts with a 'text'")


def _shown(value: Any) -> str:
    return shown(value if isinstance(value, str) else dumps(value))


def _check(column: pa.Array, row: I64, at: Place) -> None:
    """The same of Arrow's lists and structs; `row` is the row of each value."""
    kind = column.type
    if is_list(kind):
        _check(column.flatten(), np.repeat(row, _lengths(column)), at)
        return
    names = [part.name for part in kind] if pa.types.is_struct(kind) else []
    child, said_by = text_key(names), role_key(names)
    if child is None or said_by is None:
        if is_text(kind) and column.null_count == len(column):  # nothing, or nulls: they have no type of their own
            return
        raise SourceError(f"{at(None)}: {_named(kind)}, where {_WANTED} is needed; {_HINT}")
    children = dict(zip(names, column.flatten(), strict=True))
    roles, content = children[said_by], children[child]
    if is_list(roles.type):
        _check_lengths(children, said_by, row, at)
        row, roles, content = np.repeat(row, _lengths(roles)), roles.flatten(), content.flatten()
    if not is_text(roles.type):
        raise SourceError(f"{at(None)}: the roles are {roles.type}, where text is needed")
    unknown = usual_roles(roles).is_null()
    if pc.any(unknown).as_py():
        place = int(pc.index(unknown, True).as_py())
        raise SourceError(f"{at(int(row[place]))}: {unknown_role(roles[place].as_py())}")
    if not _is_content(content.type):
        raise SourceError(
            f"{at(None)}: the contents are {content.type}, where text, or a list of texts or of parts with a 'text', "
            "is needed"
        )


def _check_lengths(children: dict[str, pa.Array], said_by: str, row: I64, at: Place) -> None:
    """Of a struct of lists: a role, a content and what else there is for each message."""
    lengths = _lengths(children[said_by])
    for name, child in children.items():
        if not is_list(child.type):
            raise SourceError(
                f"{at(None)}: {name!r} is {child.type} beside a list of roles, where a list with one value a message "
                "is needed"
            )
        differs = np.flatnonzero(_lengths(child) != lengths)
        if len(differs):
            here, there = _lengths(child)[differs[0]], lengths[differs[0]]
            raise SourceError(f"{at(int(row[differs[0]]))}: {there} of {said_by!r}, but {here} of {name!r}")


def _named(kind: pa.DataType) -> str:
    return "list" if is_list(kind) else str(kind)


def _is_content(kind: pa.DataType) -> bool:
    if is_list(kind):
        return _is_content(kind.value_type)
    if pa.types.is_struct(kind):
        child = text_key([part.name for part in kind])
        return child is None or _is_content(kind.field(child).type)
    return is_text(kind)


def _lengths(column: pa.Array) -> I64:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
