"""Completing a version: what `datasets` needs, the card, the manifest last, everything flushed, then one rename.

The features of `dataset_info.json` are written here and tested against `datasets` for every type that a version can
hold: importing it takes a second, which every build would pay for these few lines.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from lope_common.files import canonical, described
from lope_data.rows.json_type import is_json
from lope_data.rows.layout import Layout
from lope_data.store.card import card
from lope_data.store.croissant import croissant_file
from lope_data.store.draft import Draft
from lope_data.store.manifest import NAME, seal
from lope_data.store.manifest_model import Facts, File, as_manifest
from lope_data.store.store import Store
from lope_data.store.version import Version

_TYPES = {pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64"}
_TYPES |= {pa.date32(): "date32", pa.date64(): "date64"}


def commit(store: Store, draft: Draft, notes: Sequence[Mapping[str, Any]], facts: Facts) -> Version:
    """Makes a draft whose shards are all written the version that `facts` names, and takes the draft away.

    Args:
        notes: of every shard, in order.
    """
    folder = draft.version
    schema = draft.schema
    names = [draft.data_name(i) for i in range(draft.count)]
    fingerprint = facts.content_digest.removeprefix("sha256:")[:16]
    write_datasets_files(folder, features(schema, Layout.from_plain(facts.layout.plain)), names, fingerprint)
    (folder / "README.md").write_bytes(card(facts, schema).encode())
    files = [File(**entry) for note in notes for entry in note["files"]]
    files += [File(**described(folder, name)) for name in ("README.md", "dataset_info.json", "state.json")]
    (folder / "croissant.json").write_bytes(croissant_file(facts, schema, files))
    files.append(File(**described(folder, "croissant.json")))
    files.sort(key=lambda file: file.path)
    text = canonical(seal(facts.plain | {"files": [file.plain for file in files]}))
    manifest = as_manifest(json.loads(text), folder / NAME)
    (folder / NAME).write_bytes(text)
    _flush(folder, [NAME, *(file.path for file in files)])
    target = store.folder(manifest.name, manifest.version)
    if target.exists() and not (target / NAME).is_file():
        shutil.rmtree(target)  # not a version, so nobody's
    folder.rename(target)
    _flush_folder(target.parent)
    shutil.rmtree(draft.folder, ignore_errors=True)
    return Version(target, manifest, existed=False)


def write_datasets_files(folder: Path, found: Mapping[str, Any], names: Sequence[str], fingerprint: str) -> None:
    """Writes what `datasets` needs beside files of rows: what `features` gives, and the names of these files.

    Args:
        fingerprint: what `datasets` keys its caches by.
    """
    info = {"features": found}
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    for name, value in (("dataset_info.json", info), ("state.json", state)):
        (folder / name).write_bytes(json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def _flush(folder: Path, names: Sequence[str]) -> None:
    """Has the disk keep the files and folders, so that a power cut after the rename loses nothing of them."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: _flush_file(folder / name), names))
    _flush_folder(folder / "edits")
    _flush_folder(folder)


def _flush_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def features(schema: pa.Schema, layout: Layout) -> dict[str, Any]:
    """What `datasets.Features.to_dict()` gives for the columns: with names of classes, and with JSON as its text where
    it could not be read exactly.
    """
    return {
        field.name: {"decode": False, "_type": "Json"}
        if field.name in layout.raw
        else _feature(field.type, field.name, layout.classes)
        for field in schema
    }


def _feature(kind: pa.DataType, path: str, classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    if path in classes:
        return {"names": list(classes[path]), "_type": "ClassLabel"}
    if is_json(kind):
        return {"_type": "Json"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type, f"{path}.{field.name}", classes) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type, f"{path}[]", classes), "_type": "List"}
    if pa.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type, f"{path}[]", classes), "_type": "LargeList"}
    return {"dtype": _TYPES.get(kind, str(kind)), "_type": "Value"}
