"""What a user can get wrong. The message says what is wrong, where, and what to do; the CLI exits with 2."""

from __future__ import annotations

from lope_common.errors import LopeError


class LopeTrainError(LopeError):
    """Base of every error that a user of `lope_train` can cause."""


class VersionError(LopeTrainError):
    """A dataset reference that does not resolve, or a version that cannot be read."""


class ModelError(LopeTrainError):
    """A base model that cannot be found or loaded, or modules that do not match."""


class RunError(LopeTrainError):
    """A run folder that cannot be written or read."""


class LibraryError(LopeTrainError, ImportError):
    """A library that is needed and not installed."""


class SettingsError(LopeTrainError):
    """A setting out of range, or one that contradicts another."""
