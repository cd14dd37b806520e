"""Values of rows as text for people: conversations as what each said, choices with their numbers, the rest as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lope_common.conversations import role_of, text_key
from lope_data.rows.plain import messages_of


def value_text(value: Any) -> str:
    """A value of a row of `plain_rows`, on as many lines as it has parts. It is as untrusted as the rows are."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, list) and value and all(isinstance(item, Mapping | list) for item in value):
        return "\n".join(map(value_text, value))
    return _as_json(value)


def choices_text(choices: Sequence[str | None]) -> str:
    """Choices, each with the number that an answer has."""
    return "\n".join(f"{number}: {text or ''}" for number, text in enumerate(choices))


def _of_mapping(value: Mapping[str, Any]) -> str:
    child = text_key(list(value))
    if "role" in value or "from" in value:
        return "\n".join(map(_of_message, messages_of(value)))
    if child == "text" and isinstance(value["text"], str):  # a part of a message
        return str(value["text"])
    return _as_json(value)


def _of_message(message: Mapping[str, Any]) -> str:
    """What somebody said, and what else the message has, such as calls of tools."""
    child = text_key(list(message))
    said = [] if child is None or message[child] is None else message[child]
    rest = {name: one for name, one in message.items() if name not in ("role", "from", child) and one is not None}
    text = "\n".join(map(value_text, said if isinstance(said, list) else [said]))
    lines = [text] if text else []
    lines += [f"{name}: {one if isinstance(one, str) else _as_json(one)}" for name, one in rest.items()]
    return f"{role_of(message)}: " + "\n  ".join(lines)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
