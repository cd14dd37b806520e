"""What a store can do without: versions that no reference and no child needs, and what killed processes left."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lope_data.errors import StoreError
from lope_data.sources.index import FOLDER, SCRATCH
from lope_data.store.locks import alone
from lope_data.store.manifest import read_any
from lope_data.store.manifest_model import Ingest, Link, Manifest
from lope_data.store.old import OldManifest
from lope_data.store.store import Store

_UNNEEDED = "no reference names it, and none names a version that was made from it"


@dataclass(frozen=True)
class Garbage:
    """A folder or file that can go: which, why, and how many bytes it holds."""

    path: Path
    why: str
    size: int


def find_garbage(store: Store) -> list[Garbage]:
    """What nothing needs. Whatever a reference (`latest` or a tag) names is needed, and all that it was made from: its
    ancestors, and a version whose rows were left out of its source.

    Versions of older formats count like any others.

    Raises:
        StoreError: a version's manifest cannot be read, or is of a newer format, so that nobody knows what it needs.
    """
    versions = {(name, version): read_any(store.folder(name, version)) for name, version in _all(store)}
    needed: set[tuple[str, str]] = set()
    asked = [(name, version) for name in store.names() for version in store.refs(name).values()]
    while asked:
        key = asked.pop()
        if key not in needed and (found := versions.get(key)) is not None:
            needed.add(key)
            asked += [(link.name, link.version) for link in _made_of(found)]
    unneeded = [store.folder(*key) for key in versions if key not in needed]
    garbage = [Garbage(folder, _UNNEEDED, _size(folder)) for folder in unneeded]
    for path, why in _leftovers(store):
        with suppress(FileNotFoundError):  # of a process that lives, and has gone on
            garbage.append(Garbage(path, why, _size(path)))
    return garbage


def _made_of(manifest: Manifest | OldManifest) -> list[Link]:
    named = [manifest.without, manifest.curated] if isinstance(manifest, Ingest) else []
    return [*manifest.parents, *(link for link in named if link is not None)]


def remove_garbage(store: Store) -> list[Garbage]:
    """Removes it, while nothing is being written to the store.

    Raises:
        StoreError: as `find_garbage`; something is being written; or something cannot be removed.
    """
    if not store.root.is_dir():
        return []
    with alone(store):
        garbage = find_garbage(store)
        for piece in garbage:
            try:
                _remove(piece.path)
            except FileNotFoundError:  # as above
                continue
            except OSError as error:
                raise StoreError(f"cannot remove {piece.path} ({error.strerror})") from error
        for name in store.names():
            there = store.versions(name)
            for ref, version in store.refs(name).items():
                if version not in there:
                    store.drop_ref(name, ref)
    return garbage


def _all(store: Store) -> Iterator[tuple[str, str]]:
    for name in store.names():
        for version in store.versions(name):
            yield name, version


def _leftovers(store: Store) -> Iterator[tuple[Path, str]]:
    for path in sorted((store.root / FOLDER).glob(".*")):
        what = (
            "a copy of a source that was being read"
            if path.name.startswith(SCRATCH)
            else "a note on a source that was being written"
        )
        yield path, f"{what} when its process was killed"
    for name in store.names():
        for path in sorted(store.home(name).iterdir()):
            left = re.fullmatch(r"\.[0-9a-f]{16}\.(partial|removing)", path.name)
            if left and left[1] == "partial":
                yield path, "a build that was killed; the same build would go on with it"
            elif left:
                yield path, "a removal that was killed"
        refs = store.home(name) / "refs"
        for path in sorted(refs.iterdir()) if refs.is_dir() else ():
            if path.name.startswith("."):
                yield path, "a reference that was being set when its process was killed"


def _remove(path: Path) -> None:
    """By a rename first, so that no half of a version can be seen."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    if not path.name.startswith("."):
        hidden = path.with_name(f".{path.name}.removing")
        path.rename(hidden)
        path = hidden
    shutil.rmtree(path)


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum((Path(root) / file).lstat().st_size for root, _, files in os.walk(path) for file in files)
