"""Versioned noisy datasets: exact, recorded, reproducible noise for text (HyNoIse, LoPE paper Sec. 3.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lope_data.catalogue import list_ops
    from lope_data.texts import ShortfallWarning, corrupt

__all__ = ["ShortfallWarning", "corrupt", "list_ops"]

_HOMES = {"corrupt": "texts", "ShortfallWarning": "texts", "list_ops": "catalogue"}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: the command line need not wait for them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lope_data' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"lope_data.{_HOMES[name]}"), name)
