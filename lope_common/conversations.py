"""Conversations, however a source writes them, as lists of `{role, content, ...}`; who says a message.

Plain Python values, as JSON or `datasets` gives them; `lope_data/store/FORMAT.md` (Columns) has the rules.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

NOBODY = ""
"""Who says a message without a role."""
_USUAL = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}  # in whatever case
_USUAL |= {role: role for role in ("user", "assistant", "system")}
_OF_TOOLS = ("tool", "function", "developer", "function_call", "observation", "tool_call", "tool_response", "ipython")
"""Roles whose messages are neither asked nor answered by anyone; they stand as they are."""
ROLES: Mapping[str, str] = _USUAL | {role: role for role in _OF_TOOLS}
"""Each role that is known, in lower case, and what it means."""


def usual_role(role: str | None) -> str | None:
    """`user` of `Human`; NOBODY of None; None of a role that is not known."""
    return NOBODY if role is None else ROLES.get(role.lower())


def role_key(names: Collection[str]) -> str | None:
    """Which of a message's names is that of its role: `role`, or ShareGPT's `from`; None if it has neither."""
    return "role" if "role" in names else "from" if "from" in names else None


def role_of(message: Mapping[str, Any]) -> Any:
    """Who says a message, as it is written there; of a struct of lists, who says each."""
    key = role_key(message)
    return None if key is None else message[key]


def text_key(names: Collection[str]) -> str | None:
    """Which of the names of a message, or of a part of one, is that of its text; None if no name is."""
    if role_key(names) is not None:
        usual = "content" if "content" in names and ("role" in names or "value" not in names) else "value"
        return usual if usual in names else None
    return "content" if "content" in names else "text" if "text" in names else None


def parsed(value: Any) -> Any:
    """Messages that the source wrote as a JSON text; other values as they are, and None for a text that is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def conversation(value: Any) -> list[Any] | None:
    """Messages as `{role, content, ...}`, in the lists that they are in; None if the value holds no list.

    Roles are the usual ones, those of tools in lower case; a message without a role has None, and so has one without a
    content. All else in a message is kept.

    Args:
        value: a list of messages, or of conversations; or a struct of lists, with one value a message.
    """
    found = _canonical(value)
    return found if isinstance(found, list) else None


def turns(value: Any, role: str) -> list[dict[str, Any] | None] | None:
    """One conversation, as `conversation` gives it; a plain text is one message by `role`.

    None where there are no messages, or several conversations.
    """
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    found = conversation(value)
    return None if found is None or any(isinstance(one, list) for one in found) else found


def _canonical(value: Any) -> Any:
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    if not isinstance(value, Mapping):
        return None
    role, content = role_key(value), text_key(value)
    said = value[role] if role else None
    if isinstance(said, list):  # a struct of lists
        lists = {name: one for name, one in value.items() if isinstance(one, list) and len(one) == len(said)}
        return [_canonical({name: one[number] for name, one in lists.items()}) for number in range(len(said))]
    usual = (usual_role(said) or said.lower()) if isinstance(said, str) and said else None
    rest = {name: one for name, one in value.items() if name not in (role, content)}
    return {"role": usual, "content": value[content] if content else None, **rest}
