"""The store: versions by name and id, and the references to them (FORMAT.md)."""

from __future__ import annotations

import re
from pathlib import Path

from lope_common.errors import shown, suggest
from lope_common.files import write_whole
from lope_common.places import is_path, store_folder, typed_path
from lope_data.errors import StoreError
from lope_data.names import PATTERN, check_name, is_prefix, is_version
from lope_data.store.locks import left_locked, locked
from lope_data.store.manifest import BLOCK, NAME
from lope_data.store.version import Version

_SHARD_ROWS = 10_000, 100_000  # least and most of a data file: what a killed build loses, and what memory must hold


class Store:
    """A folder of versions. Nothing is created before something is written."""

    def __init__(self, root: Path | None = None) -> None:
        """`root`: the folder; by default `$LOPE_STORE`, else `./lope-store`.

        Raises:
            StoreError: it is a URL, no folder can have such a name, or it cannot be looked at.
        """
        self.root = store_folder(root, StoreError)
        try:
            self.root.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass  # said when something is written
        except (OSError, ValueError) as error:  # too long, a null byte, half a surrogate pair
            why = getattr(error, "strerror", None) or error
            raise StoreError(f"the store {shown(str(self.root))} cannot be used ({why})") from error

    def home(self, name: str) -> Path:
        """The folder of a dataset's versions.

        Raises:
            StoreError: the name cannot be one, or its folder is a link, which may lead out of the store.
        """
        home = self.root / check_name(name)
        if home.is_symlink():
            raise StoreError(f"{home} is a link; a store holds its versions itself")
        return home

    def folder(self, name: str, version: str) -> Path:
        return self.home(name) / version

    def draft(self, name: str, version: str) -> Path:
        """Where a version is while it is being written."""
        return self.home(name) / f".{version}.partial"

    def _refs(self, name: str) -> Path:
        folder = self.home(name) / "refs"
        if folder.is_symlink():
            raise StoreError(f"{folder} is a link; a store holds its references itself")
        return folder

    def names(self) -> list[str]:
        """The names of datasets, sorted."""
        if not self.root.is_dir():
            return []
        folders = (path for path in self.root.iterdir() if path.is_dir() and not path.is_symlink())
        return sorted(path.name for path in folders if re.fullmatch(PATTERN, path.name) and path.name != "refs")

    def versions(self, name: str) -> list[str]:
        """The ids of a dataset's versions, sorted."""
        home = self.home(name)
        if not home.is_dir():
            return []
        return sorted(path.name for path in home.iterdir() if is_version(path.name) and _is_whole(path))

    def find(self, name: str, version: str) -> Version | None:
        """The version, if it is there whole."""
        folder = self.folder(name, version)
        return Version.at(folder) if _is_whole(folder) else None

    def refs(self, name: str) -> dict[str, str]:
        """The references of a dataset, `latest` and tags, and the versions that they mean."""
        folder = self._refs(name)
        if not folder.is_dir():
            return {}
        files = sorted(path for path in folder.iterdir() if re.fullmatch(PATTERN, path.name))
        return {path.name: _read_ref(path) for path in files if path.is_file() and not path.is_symlink()}

    def drop_ref(self, name: str, ref: str) -> None:
        """Takes a reference away.

        Raises:
            StoreError: the store cannot be written to.
        """
        try:
            (self._refs(name) / ref).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot take {name}@{ref} away in {self.root} ({error.strerror})") from error

    def set_ref(self, name: str, ref: str, version: str) -> None:
        """Points a reference at a version, in one step.

        Raises:
            StoreError: the store cannot be written to.
        """
        if self.refs(name).get(ref) == version and not left_locked(self, name, "refs"):
            return
        with locked(self, name, "refs", lambda _: None):
            folder = self._refs(name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(folder / ref, version + "\n")
            except OSError as error:
                raise StoreError(f"cannot set {name}@{ref} in {self.root} ({error.strerror})") from error

    def resolve(self, ref: str) -> Version:
        """The version that NAME, NAME@REF, NAME@VERSION or a path means.

        Raises:
            StoreError: there is none, which says what there is; or its manifest is not as it was written.
        """
        return Version.at(self.locate(ref))

    def locate(self, ref: str) -> Path:
        """The folder of the same, its manifest unread.

        Raises:
            StoreError: there is none; says what there is.
        """
        if is_path(ref):
            return typed_path(ref)
        name, at, wanted = ref.partition("@")
        home = self.home(name)
        if not home.is_dir():
            names = self.names()
            hint = suggest(name, names) if names else "; it is empty: python -m lope_data build"
            raise StoreError(f"no dataset {name!r} in the store {self.root}{hint}")
        wanted = wanted if at else "latest"
        refs, versions = self.refs(name), self.versions(name)
        wanted_version = refs.get(wanted, wanted)
        matches = [version for version in versions if is_prefix(wanted_version) and version.startswith(wanted_version)]
        if len(matches) == 1:
            return home / matches[0]
        if matches:
            raise StoreError(f"{name}@{wanted} fits {len(matches)} versions ({', '.join(matches)}); give more digits")
        known = [ref for ref in refs if refs[ref] in versions] + versions
        hint = suggest(wanted, known) if known else "; it has none"
        raise StoreError(f"no version {name}@{wanted[:60]} in the store {self.root}{hint}")


def _is_whole(folder: Path) -> bool:
    return (folder / NAME).is_file() and not (folder / NAME).is_symlink() and not folder.is_symlink()


def _read_ref(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(64).decode("ascii", "replace").strip()


def shard_rows(rows: int) -> int:
    """The rows of a data file where nothing else is asked for: blocks, as many as make 50 files, within bounds."""
    least, most = _SHARD_ROWS
    return min(max(-(-rows // 50 // BLOCK) * BLOCK, least), most)
