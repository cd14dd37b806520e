"""Versioned noisy datasets: exact, recorded, reproducible noise for text (HyNoIse, LoPE paper Sec. 3.2.1).

Rooms from the bottom up: text, rows, sources, forms, noise, recipe, inject, store, builds, transfer, report, cli; each
says what lives there. An op is added in `noise/ops`, a format of files in `sources`, a form in `forms/kinds`, a verb in
`cli`. Training is not here: it is in `lope_train`, which reads versions by `store/FORMAT.md`, and neither half imports
the other.

The names below are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.api import build, build_splits, curate, ingest, ingest_splits, open, preview  # noqa: A004
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
    "build_splits",
    "corrupt",
    "curate",
    "ingest",
    "ingest_splits",
    "list_ops",
    "open",
    "preview",
]

__getattr__ = lazy(
    __name__,
    {
        "LopeDataError": "errors",
        "Recipe": "recipe.recipe",
        "ShortfallWarning": "inject.texts",
        "Version": "store.version",
        "build": "api",
        "build_splits": "api",
        "corrupt": "inject.texts",
        "curate": "api",
        "ingest": "api",
        "ingest_splits": "api",
        "list_ops": "noise.catalogue",
        "open": "api",
        "preview": "api",
    },
)
