"""What a user can get wrong. The message says what is wrong, where, and what to do; the CLI exits with 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LopeDataError(Exception):
    """Base of every error that a user of `lope_data` can cause."""


class RecipeError(LopeDataError):
    """A recipe, or an option that stands for a part of one, which cannot be followed."""


class SourceError(LopeDataError):
    """A source that is missing, unreadable, or whose rows have no known shape."""


class StoreError(LopeDataError):
    """A name or reference that is not in the store, or a version that cannot be read or written."""


class NoiseError(LopeDataError):
    """Noise that cannot be made as asked."""


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, else the list of known names."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"


def one_line(message: str) -> str:
    """The message without line breaks and control characters, which file names and data may hold."""
    return "".join(char if char.isprintable() else " " for char in message)


def shown(value: object) -> str:
    """A value for a message: short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; deep nesting
        text = type(value).__name__
    return text if len(text) <= 60 else text[:60] + "…"
