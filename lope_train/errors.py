"""What a user can get wrong. The message says what is wrong, where, and what to do; the CLI exits with 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LopeTrainError(Exception):
    """Base of every error that a user of `lope_train` can cause."""


class VersionError(LopeTrainError):
    """A dataset reference that does not resolve, or a version that cannot be read."""


class ModelError(LopeTrainError):
    """A base model that cannot be found or loaded, or modules that do not match."""


class RunError(LopeTrainError):
    """A run folder that cannot be written or read."""


class SettingsError(LopeTrainError):
    """A setting out of range, or one that contradicts another."""


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, else the list of known names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
