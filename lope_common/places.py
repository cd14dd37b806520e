"""Where things are: paths as they were typed, the store of versions, and the cache. The same in both halves."""

from __future__ import annotations

import os
from pathlib import Path

STORE_HELP = "Folder of the versions; default: $LOPE_STORE, else ./lope-store."


def typed_path(text: str | os.PathLike[str]) -> Path:
    """The path that was typed, `~` and `~user` being home folders. An unknown user stays as it stands."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user, or no home
        return Path(text)


def is_path(ref: str) -> bool:
    """Whether a reference to a version is the path of its folder, and no name: it has a separator, or is `.` or `~`."""
    return "/" in ref or os.sep in ref or ref in (".", "..") or ref.startswith("~")


def store_folder(given: Path | str | None = None) -> Path:
    """The folder of the versions: the one given, else `$LOPE_STORE`, else `./lope-store`."""
    return typed_path(os.environ.get("LOPE_STORE") or "lope-store") if given is None else typed_path(given)


def cache_folder(given: Path | str | None = None) -> Path:
    """The folder given, else `$LOPE_CACHE`, else `$XDG_CACHE_HOME/lope`, else `~/.cache/lope`."""
    if given is not None:
        return typed_path(given)
    if cache := os.environ.get("LOPE_CACHE"):
        return typed_path(cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lope"
