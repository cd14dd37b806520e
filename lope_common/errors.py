"""What a user can get wrong, told in one line: the base of all such errors, and hints for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LopeError(Exception):
    """Base of every error that a user can cause. Its message says what is wrong, where, and what to do."""


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The known names that are spelt most like `name`, the best first; case does not count."""
    folded: dict[str, str] = {}
    for one in sorted(set(known)):
        folded.setdefault(one.casefold(), one)
    return [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=most)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name; empty where none is near."""
    found = near(name, known)
    return f"; did you mean {found[0]!r}?" if found else ""


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, else the list of known names."""
    names = sorted(set(known))
    return did_you_mean(name, names) or (f"; known: {', '.join(names)}" if names else "; there are none here")


def shown(value: object) -> str:
    """A value for a message: short and on one line, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # an integer of thousands of digits, deep nesting, a class that cannot show itself
        text = type(value).__name__
    if not text.isprintable():  # of a frame or an array, which show themselves as tables
        text = " ".join(text.split())
    return text if len(text) <= 60 else text[:60] + "…"
