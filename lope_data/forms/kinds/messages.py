"""`messages`: a list of `{role, content}`, as OpenAI has them and chat templates take them."""

from __future__ import annotations

from typing import Any

from lope_common.conversations import parsed
from lope_data.forms.dialogue import CONVERSATIONS, dialogue
from lope_data.forms.form import Form, Row


def _convert(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"messages": dialogue(row)}
    tools = row.has.get("tools")
    if tools:
        read = parsed(tools)
        found["tools"] = tools if read is None else read
    return found


FORM = Form(
    "messages",
    "{messages: [{role, content}, ...]}, and tools where there are any",
    ("messages", "tools"),
    CONVERSATIONS,
    _convert,
)
