"""The store: versions by name and id, and the references to them (FORMAT.md)."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lope_data.errors import StoreError, suggest
from lope_data.manifest import NAME, read_manifest
from lope_data.recipe import PATTERN

_HEX = re.compile(r"[0-9a-f]{4,16}")


@dataclass(frozen=True)
class Version:
    """A version on disk."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def ref(self) -> str:
        return f"{self.manifest['name']}@{self.manifest['version']}"

    @cached_property
    def rows(self) -> pa.Table:
        """All rows, memory-mapped; the text is read when it is used.

        Raises:
            StoreError: a data file is missing or cannot be read.
        """
        try:
            state = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            files = [self.folder / entry["filename"] for entry in state["_data_files"]]
            return pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files])
        except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
            raise StoreError(f"{self.folder} cannot be read ({error}); remove it and build it again") from error

    @cached_property
    def edits(self) -> pa.Table:
        """All edit records."""
        return pa.concat_tables([pq.read_table(file) for file in sorted((self.folder / "edits").glob("*.parquet"))])


class Store:
    """A folder of versions. Nothing is created before something is written."""

    def __init__(self, root: Path | None = None) -> None:
        """`root`: the folder; by default `$LOPE_STORE`, else `./lope-store`."""
        self.root = root or Path(os.environ.get("LOPE_STORE") or "lope-store")

    def folder(self, name: str, version: str) -> Path:
        return self.root / check_name(name) / version

    def find(self, name: str, version: str) -> Version | None:
        """The version, if it is there whole."""
        folder = self.folder(name, version)
        return Version(folder, read_manifest(folder)) if (folder / NAME).is_file() else None

    def set_ref(self, name: str, ref: str, version: str) -> None:
        """Points a reference at a version, in one step."""
        folder = self.root / check_name(name) / "refs"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{ref}-{os.getpid()}"
        partial.write_text(version + "\n", encoding="utf-8")
        partial.replace(folder / ref)

    def resolve(self, ref: str) -> Version:
        """The version that NAME, NAME@REF, NAME@VERSION or a path means.

        Raises:
            StoreError: there is none; says what there is.
        """
        if "/" in ref or ref in (".", ".."):
            return Version(Path(ref), read_manifest(Path(ref)))
        name, _, wanted = ref.partition("@")
        home = self.root / check_name(name)
        if not home.is_dir():
            names = sorted(p.name for p in self.root.iterdir() if p.is_dir()) if self.root.is_dir() else []
            hint = suggest(name, names) if names else "; it is empty: python -m lope_data build"
            raise StoreError(f"no dataset {name!r} in the store {self.root}{hint}")
        wanted = wanted or "latest"
        if re.fullmatch(PATTERN, wanted) and (home / "refs" / wanted).is_file():
            wanted = (home / "refs" / wanted).read_text(encoding="utf-8").strip()
        there = sorted(p.name for p in home.iterdir() if (p / NAME).is_file())
        matches = [version for version in there if _HEX.fullmatch(wanted) and version.startswith(wanted)]
        if len(matches) != 1:
            what = "several versions match" if matches else "no version"
            raise StoreError(
                f"{what} {name}@{wanted} in the store {self.root}; there are: {', '.join(there) or 'none'}"
            )
        return Version(home / matches[0], read_manifest(home / matches[0]))


def check_name(name: str) -> str:
    """The name, if it can be a folder of the store.

    Raises:
        StoreError: it cannot: other characters than letters, digits, `.`, `_`, `-`, too long, or `refs`.
    """
    if not re.fullmatch(PATTERN, name) or name == "refs":
        raise StoreError(
            f"{name!r} cannot be the name of a dataset: use 1 to 100 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return name
