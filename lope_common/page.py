"""HTML pages that need nothing but themselves: one way to make them, in which no text can be markup, and one style."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lope_common.shown import neutral


def environment(folder: Path, filters: Mapping[str, Any] | None = None) -> Environment:
    """Templates of a folder, which may `{% include "style.jinja" %}`, the style of all pages.

    What is shown is escaped, and of texts nothing is left that could reorder the page or hide in it. An unknown name is
    an error.
    """
    made = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters |= dict(filters or {})
    return made


def _finalize(value: Any) -> Any:
    return neutral(value) if isinstance(value, str) and not isinstance(value, Markup) else value
