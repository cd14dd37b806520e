"""Reading dataset versions, by `lope_data/store/FORMAT.md` alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lope_common.errors import suggest
from lope_common.files import is_sealed
from lope_common.places import is_path, store_folder, typed_path
from lope_train.data.rows import ROW_ID, SEVERAL, SHAPE, SHAPES, WEIGHT, Layout
from lope_train.errors import VersionError

if TYPE_CHECKING:
    import datasets
    from torch import Tensor

FORMAT = 2
_MANIFEST = "manifest.json"
_BATCH_ROWS = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[0-9a-f]{16}")
_PREFIX = re.compile(r"[0-9a-f]{4,16}")
_SAMPLE = re.compile(r"(?P<source>sample(-heldout)?)(-(?P<limit>\d+))?")
"""What versions of the embedded sample are called."""
_KEYS: dict[str, type] = {
    "name": str,
    "version": str,
    "kind": str,
    "rows": int,
    "content_digest": str,
    "parents": list,
    "files": list,
    "shapes": dict,
    "layout": dict,
}
_ENTRIES: dict[str, dict[str, type]] = {
    "files": {"path": str, "bytes": int, "sha256": str},
    "parents": {"name": str, "version": str, "content_digest": str},
}


@dataclass(frozen=True)
class Version:
    """A version on disk whose manifest has been checked; made by `resolve`."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """16 hexadecimal digits."""
        return str(self.manifest["version"])

    @property
    def ref(self) -> str:
        """`name@version`: what a user types to get exactly this."""
        return f"{self.name}@{self.version}"

    @property
    def content_digest(self) -> str:
        return str(self.manifest["content_digest"])

    @property
    def rows(self) -> int:
        return int(self.manifest["rows"])

    @property
    def layout(self) -> Layout:
        """Which columns hold what."""
        return Layout.of(self.manifest)

    @property
    def embedding_alpha(self) -> float | None:
        """The strength of the embedding noise that the version hints at; None where it does not."""
        alpha = (self.manifest.get("hints") or {}).get("embedding_alpha")
        return None if alpha is None else float(alpha)

    def dataset(self) -> datasets.Dataset:
        """The rows, memory-mapped. Raises VersionError where files cannot be read, or rows or columns are missing."""
        import datasets

        try:
            opened = datasets.load_from_disk(str(self.path))
        except Exception as error:  # datasets lets the errors of pyarrow, json and its own features through
            raise VersionError(
                f"{self.path}: cannot be opened as a dataset: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(opened, datasets.Dataset) or len(opened) != self.rows:
            raise VersionError(f"{self.path}: does not hold the {self.rows} rows that its manifest promises")
        missing = [name for name in (ROW_ID, SHAPE, *self.layout.names) if name not in opened.column_names]
        if missing:
            raise VersionError(f"{self.path}: lacks the column {missing[0]!r} that its manifest names")
        return opened

    def weights(self) -> Tensor | None:
        """What each row counts for, (rows,), float32; None where the version has no such column.

        Raises VersionError where one is no number from 0 on, or all are 0.
        """
        import numpy as np
        import torch

        rows = self.dataset()
        if WEIGHT not in rows.column_names:
            return None
        try:
            found = np.asarray(rows.select_columns([WEIGHT]).with_format("arrow")[:][WEIGHT], np.float32)
        except (TypeError, ValueError):
            found = np.full(1, np.nan, np.float32)
        if not (np.isfinite(found).all() and (found >= 0).all() and found.any()):
            raise VersionError(f"{self.path}: its {WEIGHT} are not numbers from 0 on, of which one is not 0")
        return torch.from_numpy(found.copy())

    def views(self) -> Iterator[dict[str, Any]]:
        """The canonical view of each row, in order; raises VersionError as `dataset` and `Layout.view` do."""
        layout = self.layout
        for batch in self.dataset().select_columns([ROW_ID, SHAPE, *layout.names]).iter(_BATCH_ROWS):
            for values in zip(*batch.values(), strict=True):
                yield layout.view(dict(zip(batch, values, strict=True)))


def resolve(ref: str, store: Path | None = None) -> Version:
    """The version that `ref` names: NAME, NAME@REF, NAME@VERSION (or a prefix of it), or a version's folder.

    Raises VersionError where there is none, or where its manifest or files are not as they were written.
    """
    if is_path(ref):
        return _open(typed_path(ref))
    store = store_folder(store, VersionError)
    name, at, wanted = ref.partition("@")
    if not _NAME.fullmatch(name) or name == "refs" or (at and not _NAME.fullmatch(wanted)):
        raise VersionError(
            f"{ref!r} is not a dataset reference: NAME, NAME@REF or NAME@VERSION (letters, "
            "digits, '.', '_', '-'), or the path of a version's folder"
        )
    folder = store / name
    if not folder.is_dir():
        raise VersionError(_no_such_name(name, store))
    return _open(folder / _find(name, wanted if at else "latest", folder))


def parent(version: Version, store: Path | None = None) -> Version:
    """The version that `version` was made from, looked for in `store`, then beside `version` itself.

    Raises VersionError where it has none, where it is missing, or where it holds other rows than it did then.
    """
    if not version.manifest["parents"]:
        raise VersionError(f"{version.ref} is an ingested source: it has no parent")
    link = version.manifest["parents"][0]
    name, wanted = str(link["name"]), str(link["version"])
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(wanted):
        raise VersionError(f"{version.path}: the manifest's parent {name!r}@{wanted!r} is not a version")
    stores = [store_folder(store, VersionError), version.path.absolute().parent.parent]
    found = next((path for root in stores if (path := root / name / wanted).is_dir()), None)
    if found is None:
        raise VersionError(
            f"{version.ref} was made from {name}@{wanted}, which is not in the store {stores[0]}; "
            f"make it again with {_remake(version.manifest['parents'])}, or name the store that holds both with --store"
        )
    opened = _open(found)
    if opened.content_digest != link["content_digest"]:
        raise VersionError(f"{found}: holds other rows than those that {version.ref} was made from")
    return opened


def _remake(ancestors: list[dict[str, Any]]) -> str:
    """The command that makes the first of the ancestors, as far as their names tell."""
    before = f"{ancestors[1]['name']}@{ancestors[1]['version']}" if len(ancestors) > 1 else None
    return _command(ancestors[0]["name"], before)


def _command(name: str, before: str | None) -> str:
    """What makes `name` from the version `before`, or from its source."""
    if before is not None:
        return f"`python -m lope_data build --from {before} --name {name}` and the recipe it had"
    if sample := _SAMPLE.fullmatch(name):
        limit = f" --limit {sample['limit']}" if sample["limit"] else ""
        return f"`python -m lope_data ingest {sample['source']}{limit}`"
    return f"`python -m lope_data ingest SOURCE`, the file or hub id that {name!r} was read from"


def _remake_all(manifest: dict[str, Any]) -> str:
    """The commands that make a version of an older format, whose parents are of that format too, oldest first."""
    parents = manifest.get("parents")
    chain = [manifest, *(parents if isinstance(parents, list) else ())]
    names = [one.get("name") if isinstance(one, dict) else None for one in reversed(chain)]
    known = [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]
    if len(known) < len(names):
        return "`python -m lope_data build`"
    return ", then ".join(map(_command, known, [None, *known]))


def _find(name: str, wanted: str, folder: Path) -> str:
    """The version's folder name for a full version, a ref, or a unique prefix, in this order."""
    versions = sorted(path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name))
    if wanted in versions:
        return wanted
    pointer = folder / "refs" / wanted
    if pointer.is_file() and not pointer.is_symlink():
        with pointer.open("rb") as file:
            target = file.read(64).decode("ascii", "replace").strip()
        if target not in versions:
            raise VersionError(f"{pointer}: points to {target!r}, which is not a version of {name!r}")
        return target
    near = [v for v in versions if v.startswith(wanted)] if _PREFIX.fullmatch(wanted) else []
    if len(near) == 1:
        return near[0]
    if near:
        raise VersionError(f"{name}@{wanted} fits {len(near)} versions ({', '.join(near)}); give more digits")
    refs = [path.name for path in (folder / "refs").iterdir()] if (folder / "refs").is_dir() else []
    raise VersionError(f"{folder.parent}: {name!r} has no version {wanted!r}{suggest(wanted, versions + refs)}")


def _no_such_name(name: str, store: Path) -> str:
    # Without a name a build makes the embedded sample, its held-out split and noise on it.
    named = "" if name.startswith("sample") else f" --name {name}"
    make = f"make it with `python -m lope_data build{named}`"
    if not store.is_dir():
        return f"no store at {store} (set by --store or LOPE_STORE), so no dataset {name!r}; {make}"
    known = [path.name for path in store.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)]
    return f"{store}: no dataset {name!r}{suggest(name, known) if known else ''}; {make}"


def _open(path: Path) -> Version:
    file = path / _MANIFEST
    if not os.path.isfile(file) or file.is_symlink():  # noqa: PTH113  # Path's raises for names that are too long
        raise VersionError(f"{path}: not a version (no manifest.json there)")
    try:
        data = file.read_bytes()
        manifest = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise VersionError(f"{file}: cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise VersionError(f"{file}: not a version's manifest (no whole number under 'format')")
    if manifest["format"] != FORMAT:
        remedy = (
            "install a newer lope" if manifest["format"] > FORMAT else f"make it again with {_remake_all(manifest)}"
        )
        raise VersionError(f"{file}: written in format {manifest['format']}, this lope reads format {FORMAT}; {remedy}")
    _check_manifest(file, manifest, data)
    _check_files(path, manifest["files"])
    _check_state(path / "state.json", manifest["files"])
    return Version(path, manifest)


def _check_manifest(file: Path, manifest: dict[str, Any], data: bytes) -> None:
    if not is_sealed(manifest, data):
        raise VersionError(f"{file}: changed since it was written (its own hash does not match); build it again")
    for key, kind in _KEYS.items():
        if key not in manifest or not isinstance(manifest[key], kind):
            raise VersionError(f"{file}: {key!r} is missing or of the wrong type")
    hints = manifest.get("hints", {})
    alpha = hints.get("embedding_alpha") if isinstance(hints, dict) else nan
    if alpha is not None and not (isinstance(alpha, int | float) and 0 <= alpha < inf):
        raise VersionError(f"{file}: the embedding_alpha in 'hints' is not a number of at least 0")
    for key, kinds in _ENTRIES.items():
        for entry in manifest[key]:
            if not isinstance(entry, dict) or not all(type(entry.get(name)) is kind for name, kind in kinds.items()):
                raise VersionError(f"{file}: an entry of {key!r} lacks something or has it of the wrong type")
    _check_layout(file, manifest["layout"], manifest["shapes"])


def _check_layout(file: Path, layout: dict[str, Any], shapes: dict[str, Any]) -> None:
    """That each shape is known, and has a column for all that it needs."""
    for shape in shapes:
        if shape not in SHAPES:
            known = ", ".join(SHAPES)
            raise VersionError(f"{file}: has rows of shape {shape!r}, this lope knows {known}; install a newer lope")
    columns: Any = layout.get("columns")
    lists = (layout.get("absent"), layout.get("raw"))
    if not _is_columns(columns) or not _is_classes(layout.get("classes")) or not all(map(_is_names, lists)):
        raise VersionError(f"{file}: 'layout' lacks something or has it of the wrong type")
    for shape in shapes:
        if missing := [key for key in SHAPES[shape].required if key not in columns.get(shape, {})]:
            raise VersionError(f"{file}: 'layout' names no column for {missing[0]!r} of shape {shape!r}")


def _is_columns(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(keys, dict)
        and all(isinstance(name, str) or (key == SEVERAL and _is_names(name)) for key, name in keys.items())
        for keys in value.values()
    )


def _is_classes(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_names, value.values()))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _check_files(path: Path, files: list[dict[str, Any]]) -> None:
    """That there is every file as it was written, by its hash, and no other: training reads what the manifest says."""
    listed = {str(entry["path"]): entry for entry in files}
    for name, entry in listed.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise VersionError(f"{path}: the manifest lists {name!r}, which is outside the version")
        file = path / relative
        if not file.is_file() or file.is_symlink():
            raise VersionError(f"{file}: missing, although the manifest lists it; build the version again")
        size = file.stat().st_size
        if size != entry["bytes"]:
            raise VersionError(f"{file}: {size} bytes, the manifest says {entry['bytes']}; build the version again")
        with file.open("rb") as data:
            if hashlib.file_digest(data, "sha256").hexdigest() != entry["sha256"]:
                raise VersionError(f"{file}: has changed (its sha256 differs); build the version again")
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        empty = file.is_dir() and not any(file.iterdir()) and name != "edits"
        if name not in listed and name != _MANIFEST and (file.is_symlink() or empty or not file.is_dir()):
            hint = ", a cache that datasets has put there" if name.startswith("cache-") else ""
            raise VersionError(f"{file}: not in the manifest{hint}; remove it")


def _check_state(file: Path, files: list[dict[str, Any]]) -> None:
    """That `datasets`, which reads what state.json names, is sent to files of the version."""
    try:
        named = [entry["filename"] for entry in json.loads(file.read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VersionError(f"{file}: cannot be read: {type(error).__name__}: {error}") from error
    if outside := [name for name in named if name not in {entry["path"] for entry in files}]:
        raise VersionError(f"{file}: names {outside[0]!r}, which is not a file of the version")
