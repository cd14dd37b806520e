"""The cache of tokens: a folder an entry, checked when opened, put in place whole."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lope_common.files import canonical, sha256_of
from lope_common.shown import one_line
from lope_train.errors import RunError

_DATA, _ABOUT = "data.arrow", "tokens.json"


class Entry(NamedTuple):
    """What is kept under one key."""

    data: Path
    counts: dict[str, int]


Make = Callable[[Path, Path], dict[str, int]]
"""Writes the data to the path it is given, and returns the counts; it may keep entries of its own in the folder."""


def entry(folder: Path, key: dict[str, Any], make: Make) -> Entry:
    """The entry of `folder` for a `key` of plain values, made now unless it is there and as it was written.

    Where `folder` cannot be written, one of this process alone is used, and a line on stderr says so. Raises
    RunError where that cannot be written either.
    """
    try:
        return _entry(folder, key, make)
    except OSError as error:
        scratch = _scratch(folder, error.strerror or str(error))
    try:
        return _entry(scratch, key, make)
    except OSError as error:
        raise RunError(f"{scratch}: tokens cannot be written: {error}; free space, or set TMPDIR") from error


def digest(value: Any) -> str:
    """sha256, in hexadecimal digits, of a plain value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _entry(folder: Path, key: dict[str, Any], make: Make) -> Entry:
    place = folder / digest(key)[:32]
    if found := _read(place, key):
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=folder) as scratch:
        made = Path(scratch) / place.name
        made.mkdir()
        data = made / _DATA
        counts = make(data, folder)
        about = {"key": key, "counts": counts, "bytes": data.stat().st_size, "sha256": sha256_of(data)}
        about["about_sha256"] = digest(about)
        (made / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        try:
            made.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was first, with the same content
                raise
    found = _read(place, key)
    if found is None:
        raise OSError(f"{place.name} is not as it was just written")
    return found


def _read(place: Path, key: dict[str, Any]) -> Entry | None:
    """The entry; None where there is none. One that is not as it was written is removed."""
    if not os.path.lexists(place):
        return None
    data = place / _DATA
    try:
        about = json.loads((place / _ABOUT).read_bytes())
        own = about.pop("about_sha256")
        whole = own == digest(about) and about["key"] == key and about["bytes"] == data.stat().st_size
        if whole and about["sha256"] == sha256_of(data):
            return Entry(data, about["counts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    with tempfile.TemporaryDirectory(prefix=".damaged.", dir=place.parent) as away, suppress(FileNotFoundError):
        place.rename(Path(away) / place.name)  # at once: no other process meets half of it
    return None


@functools.cache  # one folder and one line a process
def _scratch(folder: Path, reason: str) -> Path:
    """A folder in place of one that cannot be written; it goes with the process."""
    line = f"{folder}: no tokens can be kept there ({reason}); they are made for this process alone"
    print(one_line(line), file=sys.stderr)
    scratch = tempfile.mkdtemp(prefix="lope-tokens.")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return Path(scratch)
