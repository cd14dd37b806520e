"""Formats of files: a module each, found by lying here, whose `FORMATS` has a `Format` for each suffix that it reads.

A format is added by its file and its test. Help texts list the suffixes, so a module imports heavy libraries inside its
functions only. What any text has in common (compression, encodings, lines) is in `lope_data.sources.text`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from lope_data.sources.formats.format import Format

__all__ = ["FORMATS", "Format", "listed"]

_FILES = [module.name for module in iter_modules(__path__) if module.name != "format"]
_FOUND: dict[str, Format] = {
    suffix: one for name in _FILES for suffix, one in import_module(f"{__name__}.{name}").FORMATS.items()
}
FORMATS = dict(sorted(_FOUND.items(), key=lambda item: not item[1].text))
"""By suffix, those that hold text first."""


def listed(text: bool) -> str:
    """The suffixes of formats that hold text, or of the others, without their dots and with commas between."""
    return ", ".join(suffix[1:] for suffix, one in FORMATS.items() if one.text == text)
