"""Where things are: paths as they were typed, the store of versions, and the cache. The same in both halves."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lope_common.errors import LopeError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?:[^/?]*@)?([^?]*)")  # a drive has one letter
STORE_HELP = "Folder of the versions; default: $LOPE_STORE, else ./lope-store."


def typed_path(text: str | os.PathLike[str]) -> Path:
    """The path that was typed, `~` and `~user` being home folders. An unknown user stays as it stands."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user, or no home
        return Path(text)


def local_path(text: str | os.PathLike[str], what: str = "", error: type[Exception] = LopeError) -> Path:
    """`typed_path` of what can be in a folder only. A URL would be a folder that is called as its scheme.

    Args:
        what: what the path is of, as the message begins.

    Raises:
        error: it is a URL.
    """
    if url := _URL.match(os.fspath(text)):
        named = f"{url[1]}://{'/' if url[1] == 'file' else ''}{url[2]}"  # without what may be secret
        raise error(
            f"{what and f'{what}: '}{named} is a URL, and this must be a path of this machine; name a folder or file"
        )
    return typed_path(text)


def is_path(ref: str) -> bool:
    """Whether a reference to a version is the path of its folder, and no name: it has a separator, or is `.` or `~`."""
    return "/" in ref or os.sep in ref or ref in (".", "..") or ref.startswith("~")


def store_folder(given: Path | str | None = None, error: type[Exception] = LopeError) -> Path:
    """The folder of the versions: the one given, else `$LOPE_STORE`, else `./lope-store`.

    Raises:
        error: it is a URL.
    """
    if given is None:
        return local_path(os.environ.get("LOPE_STORE") or "lope-store", "LOPE_STORE", error)
    return local_path(given, "store", error)


def cache_folder(given: Path | str | None = None) -> Path:
    """The folder given, else `$LOPE_CACHE`, else `$XDG_CACHE_HOME/lope`, else `~/.cache/lope`.

    Raises:
        LopeError: it is a URL.
    """
    if given is not None:
        return local_path(given, "cache")
    if cache := os.environ.get("LOPE_CACHE"):
        return local_path(cache, "LOPE_CACHE")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lope"
