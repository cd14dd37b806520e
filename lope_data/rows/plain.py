"""Rows as Python values, as their source means them, and what conversations say, however they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lope_common.conversations import role_of, text_key
from lope_data.rows.arrow_types import is_text
from lope_data.rows.json_type import is_json, loads
from lope_data.rows.layout import Layout
from lope_data.rows.shapes import SHAPES


def plain_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows with their JSON read, in columns of JSON and where conversations are JSON in strings, and with the
    names of classes for their numbers. The table carries its layout.

    Raises:
        ValueError: a text that should be JSON is not.
    """
    layout = Layout.of(rows)
    written = conversations(layout)
    documents = [
        field.name for field in rows.schema if is_json(field.type) or (field.name in written and is_text(field.type))
    ]
    classed = [name for name in rows.column_names if any(path.startswith(name) for path in layout.classes)]
    found: list[dict[str, Any]] = rows.to_pylist()
    for row in found:
        for name in documents:
            if row[name] is not None:
                row[name] = loads(row[name])
        for name in classed:
            row[name] = _named(row[name], name, layout.classes)
    return found


def conversations(layout: Layout) -> set[str]:
    """The columns whose strings are conversations, as JSON."""
    return {
        name
        for shape, has in layout.columns.items()
        for role, name in has.items()
        if SHAPES[shape].kinds[role] == "messages" and isinstance(name, str)
    }


def messages_of(value: Any) -> Iterator[Mapping[str, Any]]:
    """The messages of a conversation, or of several: of a list, of lists of lists, of a struct of lists."""
    if isinstance(value, list):
        for item in value:
            yield from messages_of(item)
    elif isinstance(value, Mapping):
        roles = role_of(value)
        if not isinstance(roles, list):
            yield value
            return
        for number in range(len(roles)):
            yield {name: one[number] for name, one in value.items() if isinstance(one, list)}


def text_of_message(message: Any) -> str:
    """The text of a message; of one in parts, what stands in them, a line each."""
    if isinstance(message, list):
        return "\n".join(text for text in map(text_of_message, message) if text)
    if isinstance(message, Mapping):
        child = text_key(list(message))
        return "" if child is None else text_of_message(message[child])
    return message or ""


def _named(value: Any, path: str, classes: Mapping[str, Sequence[str]]) -> Any:
    """The value with the names of classes for their numbers; a number without a class stays."""
    if isinstance(value, list):
        return [_named(item, f"{path}[]", classes) for item in value]
    if isinstance(value, Mapping):
        return {name: _named(item, f"{path}.{name}", classes) for name, item in value.items()}
    names = classes.get(path, ())
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
