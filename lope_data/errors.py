"""What a user can get wrong. The message says what is wrong, where, and what to do; the CLI exits with 2."""

from __future__ import annotations

from lope_common.errors import LopeError


class LopeDataError(LopeError):
    """Base of every error that a user of `lope_data` can cause."""


class RecipeError(LopeDataError):
    """A recipe, or an option that stands for a part of one, which cannot be followed."""


class SourceError(LopeDataError):
    """A source that is missing, unreadable, or whose rows have no known shape."""


class StoreError(LopeDataError):
    """A name or reference that is not in the store, or a version that cannot be read or written."""


class OldFormatError(StoreError):
    """A version of an older format, which is not read; the message has the command that builds it again."""


class NoiseError(LopeDataError):
    """Noise that cannot be made as asked."""
