"""What is in a store: its versions with their sizes, ratios and parents. Reads manifests only, of older formats too."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from lope_common.errors import suggest
from lope_common.shown import one_line, safe, say
from lope_data.errors import LopeDataError, StoreError
from lope_data.names import is_version
from lope_data.store.manifest import NAME, read_any
from lope_data.store.store import Store

if TYPE_CHECKING:
    from lope_data.store.manifest_model import Link, Manifest
    from lope_data.store.old import Again, OldManifest

_DIGITS = 8  # of a version in a short reference, or more where these fit several
_HEADERS = ("version", "kind", "rows", "touched", "ratio", "size")


@dataclass(frozen=True)
class Entry:
    """A version's folder in a store.

    Attributes:
        name: of the dataset.
        version: the folder's name; empty where the dataset's folder itself cannot be read.
        ref: short, and enough for `Store.resolve`.
        tags: `latest` first, then the tags that mean it.
        size: bytes on disk.
        manifest: None where `damage` says what is wrong with it.
        parent: the short reference of what it was made from, and whether that is in this store; None for none.
        again: how to build it again, if it is of an older format and nothing else can be done with it.
    """

    name: str
    version: str
    ref: str
    tags: list[str]
    folder: Path
    size: int
    manifest: Manifest | OldManifest | None
    damage: str
    parent: tuple[str, bool] | None
    again: Again | None = None

    @property
    def ratios(self) -> list[float]:
        """Of its steps; empty for an ingested source."""
        return [step.ratio for step in self.manifest.steps] if self.manifest else []

    @property
    def record(self) -> dict[str, Any]:
        """For scripts."""
        known = self.manifest
        return {
            "ref": self.ref,
            "name": self.name,
            "version": self.version,
            "tags": self.tags,
            "format": known.format if known else None,
            "kind": known.kind if known else None,
            "rows": known.rows if known else None,
            "touched": known.touched if known else None,
            "depth": known.depth if known else None,
            "content_digest": known.content_digest if known else None,
            "ratios": self.ratios,
            "parents": [link.ref for link in known.parents] if known else [],
            "bytes": self.size,
            "path": str(self.folder),
            "damage": self.damage or None,
            "again": self.again.record if self.again else None,
        }


def entries(store: Store, name: str | None = None) -> list[Entry]:
    """The versions of a store, or of one dataset of it: by name, parents before children.

    Those of older formats come after the others of their name, and last those that are damaged.

    Raises:
        StoreError: there is no dataset of that name.
    """
    names = store.names()
    if name is not None and name not in names:
        store.home(name)  # which says what is wrong with it if it cannot be a name
        raise StoreError(f"no dataset {name!r} in the store {store.root}" + (suggest(name, names) if names else ""))
    shortened = _Short(store)
    found = [entry for one in (names if name is None else [name]) for entry in _of_name(store, one, shortened)]
    return sorted(found, key=_place)


def _place(entry: Entry) -> tuple[str, bool, bool, int, str]:
    known = entry.manifest
    return entry.name, known is None, entry.again is not None, known.depth if known else 0, entry.version


def unfinished(store: Store, name: str | None = None) -> int:
    """How many builds were begun and not finished; some may still be going on."""
    count = 0
    for one in store.names() if name is None else [name]:
        try:
            count += sum(bool(re.fullmatch(r"\.[0-9a-f]{16}\.partial", path.name)) for path in _folders(store, one))
        except OSError:
            continue  # `entries` says so
    return count


class _Short:
    """Short references into a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[str, list[str]] = {}

    def __call__(self, name: str, version: str) -> tuple[str, bool]:
        """The reference, and whether its version is there; a version that is not is named in full."""
        if name not in self._versions:
            self._versions[name] = _versions(self._store, name)
        known = self._versions[name]
        if version not in known:
            return f"{name}@{version}", False
        fits = (n for n in range(_DIGITS, 16) if sum(other.startswith(version[:n]) for other in known) == 1)
        return f"{name}@{version[: next(fits, 16)]}", True


def _versions(store: Store, name: str) -> list[str]:
    try:
        return [path.name for path in _folders(store, name) if is_version(path.name)]
    except (OSError, StoreError):
        return []


def _folders(store: Store, name: str) -> list[Path]:
    home = store.home(name)
    return [path for path in home.iterdir() if path.is_dir() and not path.is_symlink()] if home.is_dir() else []


def _of_name(store: Store, name: str, shortened: _Short) -> list[Entry]:
    home = store.home(name)
    try:
        versions = [path.name for path in _folders(store, name) if is_version(path.name)]
        refs = store.refs(name)
    except (OSError, StoreError) as error:
        why = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        return [Entry(name, "", name, [], home, 0, None, why, None)]
    return [_entry(name, version, home / version, refs, shortened) for version in versions]


def _entry(name: str, version: str, folder: Path, refs: dict[str, str], shortened: _Short) -> Entry:
    manifest, damage, parent, how = None, "", None, None
    try:
        found = read_any(folder)
        from lope_data.store.old import OldManifest, again  # pydantic, which an empty store does without

        if (found.name, found.version) != (name, version):
            raise StoreError(f"its manifest is that of {found.ref}")
        manifest = found
        if (link := made_of(manifest)) is not None:
            parent = shortened(link.name, link.version)
        if isinstance(manifest, OldManifest):
            how = again(folder / NAME, manifest, read_any)
    except (LopeDataError, OSError) as error:
        damage = str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), "it")  # the reference says where
    tags = sorted((ref for ref in refs if refs[ref] == version), key=lambda ref: (ref != "latest", ref))
    ref = shortened(name, version)[0]
    return Entry(name, version, ref, tags, folder, size_of(folder), manifest, damage, parent, how)


def made_of(manifest: Manifest | OldManifest) -> Link | None:
    """The version that one was made from: its parent, or the one whose rows a curated version has."""
    from lope_data.store.manifest_model import Ingest

    if manifest.parents:
        return manifest.parents[0]
    return manifest.curated if isinstance(manifest, Ingest) else None


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; links are not followed."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                total += (Path(parent) / file).lstat().st_size
            except OSError:  # removed meanwhile
                continue
    return total


def show_entries(console: Console, found: Sequence[Entry]) -> None:
    """Prints a table: a line of figures for each version, and under it its tags, its parent, and what is wrong with it.

    A reference is never cut, since it is there to be copied: one that is longer than its column has a line of its own.
    """
    cells = [_cells(entry) for entry in found]
    widths = [max(map(len, column)) for column in zip(_HEADERS[1:], *(row[1:] for row in cells), strict=True)]
    room = max(console.width - sum(widths) - 2 * len(widths), 24)
    first = max([cell_len(row[0]) for row in cells if cell_len(row[0]) <= room] + [len(_HEADERS[0])])

    def figures(head: str, rest: Sequence[str]) -> str:
        padded = [head.ljust(first), rest[0].ljust(widths[0])]
        return "  ".join([*padded, *(cell.rjust(width) for cell, width in zip(rest[1:], widths[1:], strict=True))])

    head = figures(_HEADERS[0], _HEADERS[1:])
    _print(console, Text(head, style="bold"))
    _print(console, Text("─" * len(head), style="dim"))
    for entry, (ref, *rest) in zip(found, cells, strict=True):
        if cell_len(ref) > first:
            _print(console, Text(ref, style="bold"))
            ref = ""
        line = Text(figures(ref, rest))
        line.stylize("bold", 0, len(ref))
        _print(console, line)
        if entry.tags:
            say(console, f"tags: {', '.join(entry.tags)}", indent=2, style="dim")
        if entry.parent:
            ref, is_here = entry.parent
            what = "parent" if entry.manifest and entry.manifest.parents else "rows of"
            say(console, f"{what}: {ref}" + ("" if is_here else ", not in this store"), indent=2, style="dim")
        if entry.again:
            say(console, entry.again.last.told(), indent=2, style="dim")
        if entry.damage:
            say(console, f"damaged: {one_line(safe(entry.damage))}", indent=2, style="red")


def _print(console: Console, line: Text) -> None:
    console.print(line, overflow="ignore", no_wrap=True, crop=False)


def _cells(entry: Entry) -> list[str]:
    size = decimal(entry.size)
    if entry.manifest is None:
        return [entry.ref, "damaged", "–", "–", "–", size]
    manifest, ratios = entry.manifest, entry.ratios
    shown = "+".join(f"{ratio:.4g}" for ratio in ratios[:3]) + ("+…" if len(ratios) > 3 else "")
    touched = f"{manifest.touched:,}" if ratios else "–"
    kind = f"format {manifest.format}" if entry.again else manifest.kind
    return [entry.ref, kind, f"{manifest.rows:,}", touched, shown or "–", size]
