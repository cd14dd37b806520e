"""Rows as conversations of `{role, content, ...}`, which several forms are made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lope_common.conversations import conversation, parsed, turns
from lope_common.errors import shown
from lope_data.forms.form import Misfit, Row

Message = dict[str, Any]
CONVERSATIONS = {
    "instruction": ("instruction", "input", "output", "system", "history"),
    "chat": ("messages", "system", "tools"),
    "prompt_completion": ("prompt", "completion"),
    "multiple_choice": ("question",),
}
"""What of the shapes goes into a conversation. Of multiple choice only the question: its choices stay beside it."""
_RESULTS = ("observation", "tool_response", "ipython")


def dialogue(row: Row) -> list[Message]:
    """The row as one conversation, the system's message first.

    Every message has a `role` and a `content`: a text, a list of parts, or None beside `tool_calls`. ShareGPT's calls
    of tools are `tool_calls`, their results messages by `tool`. Nulls in messages and in parts of them are left out.

    Raises:
        Misfit: it is not one conversation; says why.
    """
    system = row.has.get("system")
    if system is not None and not isinstance(system, str):
        raise Misfit(f"its system is {shown(system)}, which is no text")
    before = [{"role": "system", "content": system}] if system else []
    found = [_message(one) for one in [*before, *_messages(row)]]
    if not found:
        raise Misfit("its conversation has no message")
    return found


def with_system_apart(messages: list[Message]) -> tuple[str, list[Message]]:
    """The text of the system's message, if it comes first, and the other messages."""
    if messages[0]["role"] != "system":
        return "", messages
    return only_text(messages[0]), messages[1:]


def only_text(message: Message) -> str:
    """The text of a message that has nothing else. Parts of text are joined without a space, as chat templates do.

    Raises:
        Misfit: it has something else; says what.
    """
    others = [key for key in message if key not in ("role", "content")]
    if "tool_calls" in others:
        raise Misfit("a message calls a tool")
    if others:
        raise Misfit(f"a message has {others[0]!r} beside role and content")
    content = message["content"]
    parts = content if isinstance(content, list) else [content]
    return "".join(_text_of(part) for part in parts)


def asked(row: Row) -> str:
    """The instruction, and below it its input, after an empty line."""
    instruction, given = row.has["instruction"], row.has["input"]
    return f"{instruction}\n\n{given}" if given else str(instruction)


def chosen(row: Row) -> str:
    """The text of the right choice."""
    choices, answer = row.has["choices"] or [], row.has["answer"]
    if answer is None or not 0 <= answer < len(choices) or choices[answer] is None:
        raise Misfit(f"its answer is {shown(answer)}, and it has {len(choices)} choices")
    return str(choices[answer])


def _messages(row: Row) -> Sequence[Any]:
    has = row.has
    if row.shape == "chat":
        return _one(conversation(parsed(has["messages"])))
    if row.shape == "prompt_completion":
        return [*_one(turns(has["prompt"], "user")), *_one(turns(has["completion"], "assistant"))]
    if row.shape == "multiple_choice":
        return [{"role": "user", "content": has["question"]}, {"role": "assistant", "content": chosen(row)}]
    pairs = [*_pairs(has["history"]), (asked(row), has["output"])]
    return [{"role": role, "content": text} for pair in pairs for role, text in zip(_ROLES, pair, strict=True)]


_ROLES = ("user", "assistant")


def _one(messages: Sequence[Any] | None) -> Sequence[Any]:
    if messages is None:
        raise Misfit("it holds no messages")
    if any(isinstance(one, list) for one in messages):
        raise Misfit("it holds several conversations", "--as source holds every row")
    return messages


def _pairs(history: Any) -> list[tuple[str, str]]:
    pairs = [] if history is None else history
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise Misfit("its history is not a list of pairs of texts")
    return [(one, other) for one, other in pairs]


def _message(message: Any) -> Message:
    if message is None:
        raise Misfit("a message is null")
    role = message["role"]
    if role is None:
        raise Misfit("a message has no role")
    found = {key: value for key, value in message.items() if value is not None or key == "content"}
    if found.get("tool_calls") == []:
        del found["tool_calls"]
    content = found["content"]
    if role in ("function_call", "tool_call"):
        return {**found, "role": "assistant", "content": "", "tool_calls": _calls(content)}
    if role in _RESULTS:
        found["role"] = "tool"
    if isinstance(content, list):
        found["content"] = [_part(part) for part in content]
    elif content is None and "tool_calls" not in found:
        raise Misfit(f"a message by {role!r} has no content")
    return found


def _part(part: Any) -> Any:
    return {key: value for key, value in part.items() if value is not None} if isinstance(part, dict) else part


def _calls(content: Any) -> list[dict[str, Any]]:
    """The calls that a ShareGPT message holds as JSON: one, or a list."""
    try:
        read = json.loads(content)
    except (ValueError, TypeError, RecursionError):
        read = None
    calls = read if isinstance(read, list) else [read]
    for call in calls:
        if not isinstance(call, dict) or not {"name"} <= call.keys() <= {"name", "arguments"}:
            raise Misfit(f"a tool call is {shown(content)}, where JSON of {{name, arguments}} is needed")
    return [{"type": "function", "function": call} for call in calls]


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str) and part.keys() <= {"type", "text"}:
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else None
    raise Misfit(f"a message holds {f'a part of type {kind!r}' if kind else shown(part)}, which is no text")
