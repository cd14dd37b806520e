"""Versioned noisy datasets: exact, recorded, reproducible noise for text (HyNoIse, LoPE paper Sec. 3.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lope_data.api import build, ingest, open, preview  # noqa: A004
    from lope_data.errors import LopeDataError
    from lope_data.inject.texts import ShortfallWarning, corrupt
    from lope_data.noise.catalogue import list_ops
    from lope_data.recipe.recipe import Recipe
    from lope_data.store.version import Version

__all__ = [
    "LopeDataError",
    "Recipe",
    "ShortfallWarning",
    "Version",
    "build",
    "corrupt",
    "ingest",
    "list_ops",
    "open",
    "preview",
]

_HOMES = {
    "LopeDataError": "errors",
    "Recipe": "recipe.recipe",
    "ShortfallWarning": "inject.texts",
    "Version": "store.version",
    "build": "api",
    "corrupt": "inject.texts",
    "ingest": "api",
    "list_ops": "noise.catalogue",
    "open": "api",
    "preview": "api",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: the command line need not wait for them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lope_data' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"lope_data.{_HOMES[name]}"), name)
