"""Who says a message: the usual names of roles, and those of tools."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown

NOBODY = ""
_USUAL = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}  # in whatever case
_USUAL |= {role: role for role in ("user", "assistant", "system")}
_OF_TOOLS = ("tool", "function", "developer", "function_call", "observation", "tool_call", "tool_response", "ipython")
"""Roles whose messages are neither asked nor answered by anyone; they stand as they are."""
_KNOWN = _USUAL | {role: role for role in _OF_TOOLS}
_NAMES, _MEANT = pa.array(list(_KNOWN)), pa.array(list(_KNOWN.values()))


def usual_role(role: str | None) -> str | None:
    """`user` of `Human`; NOBODY of none; None of a role that is not known."""
    return NOBODY if role is None else _KNOWN.get(role.lower())


def usual_roles(roles: pa.Array) -> pa.Array:
    """The same of a column of strings."""
    found = _MEANT.take(pc.index_in(pc.utf8_lower(roles.cast(pa.string())), _NAMES))
    return pc.if_else(roles.is_null(), NOBODY, found)


def unknown_role(role: str | None) -> str:
    """What to say of a role that is not known."""
    return f"unknown role {shown(role)}; rename it to one of {', '.join([*dict.fromkeys(_USUAL.values()), *_OF_TOOLS])}"
