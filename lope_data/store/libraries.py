"""The versions of the libraries that decide the bytes of a version's files."""

from __future__ import annotations

import importlib.metadata

_NAMES = ("datasets", "nlpaug", "numpy", "pyarrow", "regex")


def libraries() -> dict[str, str]:
    """Library -> version; for equal ones the bytes of a version's files are promised, not only its content."""
    return {name: importlib.metadata.version(name) for name in _NAMES}
