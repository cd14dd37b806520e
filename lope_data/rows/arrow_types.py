"""Arrow's types by what they hold, whatever the width of their offsets."""

from __future__ import annotations

import pyarrow as pa


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list with a length of its own."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether its values are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
