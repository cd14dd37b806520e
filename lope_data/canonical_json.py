"""Canonical JSON, which everything that is hashed is written in."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Canonical JSON: UTF-8, sorted keys, no spaces, no NaN, one final newline."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
