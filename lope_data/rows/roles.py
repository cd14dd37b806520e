"""Who says a message, of columns of roles; the names of roles are in `lope_common.conversations`."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lope_common.conversations import NOBODY, ROLES
from lope_common.errors import shown

_NAMES, _MEANT = pa.array(list(ROLES)), pa.array(list(ROLES.values()))


def usual_roles(roles: pa.Array) -> pa.Array:
    """`usual_role` of a column of strings."""
    found = _MEANT.take(pc.index_in(pc.utf8_lower(roles.cast(pa.string())), _NAMES))
    return pc.if_else(roles.is_null(), NOBODY, found)


def unknown_role(role: str | None) -> str:
    """What to say of a role that is not known."""
    return f"unknown role {shown(role)}; rename it to one of {', '.join(dict.fromkeys(ROLES.values()))}"
