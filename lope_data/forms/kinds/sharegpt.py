"""`sharegpt`: conversations of `{from, value}`, with system and tools beside them, as LLaMA-Factory reads them."""

from __future__ import annotations

import json
from typing import Any

from lope_common.conversations import parsed
from lope_data.forms.dialogue import CONVERSATIONS, dialogue, only_text, with_system_apart
from lope_data.forms.form import Form, Misfit, Row

_NAMES = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation", "function": "observation"}


def _convert(row: Row) -> dict[str, Any]:
    system, messages = with_system_apart(dialogue(row))
    found: dict[str, Any] = {"conversations": [_turn(message) for message in messages]}
    if system:
        found["system"] = system
    if tools := row.has.get("tools"):
        found["tools"] = tools if isinstance(tools, str) else _dumped(tools)
    return found


def _turn(message: dict[str, Any]) -> dict[str, str]:
    role = message["role"]
    if calls := message.get("tool_calls"):
        if message["content"]:
            raise Misfit("a message says something and calls a tool, for which ShareGPT has two kinds of message")
        made = [_call(call) for call in calls]
        rest = {key: value for key, value in message.items() if key != "tool_calls"} | {"content": ""}
        only_text(rest)
        return {"from": "function_call", "value": _dumped(made[0] if len(made) == 1 else made)}
    if role not in _NAMES:
        raise Misfit(f"ShareGPT has no role {role!r}")
    if role in ("tool", "function"):  # ShareGPT knows the call by the order
        message = {key: value for key, value in message.items() if key not in ("tool_call_id", "name")}
    return {"from": _NAMES[role], "value": only_text(message)}


def _call(call: Any) -> dict[str, Any]:
    named = call if isinstance(call, dict) else {}
    outer = {key: value for key, value in named.items() if key not in ("id", "type", "index")}
    function = outer.get("function") if len(outer) == 1 else outer
    if not isinstance(function, dict) or not {"name"} <= function.keys() <= {"name", "arguments"}:
        raise Misfit("a tool call is not {name, arguments}")
    arguments = function.get("arguments")
    read = parsed(arguments)
    return {"name": function["name"], "arguments": arguments if read is None else read}


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FORM = Form(
    "sharegpt",
    "{conversations: [{from: human|gpt|..., value}, ...]}, and system and tools where there are any; tool calls are "
    "messages from function_call, without their ids",
    ("conversations", "system", "tools"),
    CONVERSATIONS,
    _convert,
    "--as messages holds conversations of any kind, --as source every row",
)
