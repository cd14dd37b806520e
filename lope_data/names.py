"""Names of datasets, references and modules: what can be a folder or a file of the store, and cannot leave it."""

from __future__ import annotations

import re

from lope_common.errors import shown
from lope_data.errors import StoreError

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
MODULE = r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$"
"""What a manifest may call the module of an op, or its file; at most 200 characters."""
MODULE_NAMES = "the name of a file or module with ops may hold letters, digits, _ and -, 200 in all"
_HOW = "use 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter or digit"


def check_name(name: str) -> str:
    """The name, if it can be a dataset's.

    Raises:
        StoreError: it holds other characters than letters, digits, `.`, `_`, `-`, is too long, or is `refs`.
    """
    if not re.fullmatch(PATTERN, name) or name == "refs":
        raise StoreError(f"{shown(name)} cannot be the name of a dataset: {_HOW}")
    return name


def check_tag(tag: str) -> str:
    """The tag, if it can be one.

    Raises:
        StoreError: it cannot be a file's name, is `latest`, or reads like the first digits of a version.
    """
    if not re.fullmatch(PATTERN, tag):
        raise StoreError(f"{shown(tag)} cannot be a tag: {_HOW}")
    if tag == "latest":
        raise StoreError("'latest' is not a tag: every build sets it to the version that it made or found")
    if is_prefix(tag):
        raise StoreError(f"{tag!r} cannot be a tag: it reads like the first digits of a version")
    return tag


def is_module(text: str) -> bool:
    """Whether a manifest may call the module of an op so, or its file."""
    return len(text) <= 200 and re.fullmatch(MODULE, text) is not None


def is_prefix(text: str) -> bool:
    """Whether the text can stand for a version by its first digits."""
    return re.fullmatch(r"[0-9a-f]{4,16}", text) is not None


def is_version(text: str) -> bool:
    """Whether the text is a whole version id."""
    return re.fullmatch(r"[0-9a-f]{16}", text) is not None
