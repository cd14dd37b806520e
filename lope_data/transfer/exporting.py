"""Exporting a version whole: its rows in another format, with its manifest, edits, card and Croissant description."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from lope_common.files import described, new_folder
from lope_common.places import local_path
from lope_common.progress import Progress
from lope_data.errors import StoreError
from lope_data.store.card import card
from lope_data.store.croissant import croissant_file
from lope_data.store.manifest import NAME
from lope_data.store.manifest_model import File
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.transfer.row_text import to_json_lines
from lope_data.transfer.writers import counted, write_parquet

SCHEMA = "schema.arrow"  # beside rows.jsonl: the types, which JSON does not tell


def export(version: Version, kind: str, out: Path, progress: Progress) -> None:
    """Writes a version to a new folder, whole or not at all.

    Args:
        kind: `parquet` or `jsonl`: the rows are one file; `hf`: the version's own files, which
            `datasets.load_from_disk` opens.

    Raises:
        StoreError: the format does not do, the folder exists or cannot be written, or the version's files are not those
            of its manifest.
    """
    if kind not in FORMATS:
        raise StoreError(f"a version is not exported to {kind}, which does not tell types; --to {', '.join(FORMATS)}")
    out = free_place(out)
    check_files(version)
    try:
        with new_folder(out) as folder:
            if kind == "hf":
                _copy(version, folder, [NAME, *(file.path for file in version.manifest.files)])
            else:
                write_into(folder, version, kind, progress)
    except OSError as error:
        raise StoreError(f"cannot write {out} ({error.strerror or error}); nothing was kept of it") from error


def free_place(out: Path) -> Path:
    """The path, as it was typed. Raises StoreError: something is there, or it is a URL."""
    out = local_path(out, "out", StoreError)
    if out.exists() or out.is_symlink():
        raise StoreError(f"{out} exists; remove it, or choose another place with --out")
    return out


def write_into(folder: Path, version: Version, kind: str, progress: Progress) -> None:
    """Writes rows in a format, edits, manifest, card and description into a folder."""
    schema = version.rows.schema.remove_metadata()
    name = f"rows.{kind}"
    with (folder / name).open("wb") as file:
        _WRITERS[kind](file, version.rows, progress)
    if kind == "jsonl":
        (folder / SCHEMA).write_bytes(schema.serialize().to_pybytes())
    _copy(version, folder, [f.path for f in version.manifest.files if f.path.startswith("edits/")])
    (folder / "README.md").write_text(card(version.manifest, schema, name), encoding="utf-8")
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = [File(**described(folder, inner)) for inner in names]
    (folder / "croissant.json").write_bytes(croissant_file(version.manifest, schema, files, name))
    _copy(version, folder, [NAME])


def _copy(version: Version, folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copyfile(version.folder / name, folder / name)


def _write_parquet(file: BinaryIO, rows: pa.Table, progress: Progress) -> None:
    write_parquet(file, rows.schema, counted(rows, progress))


def _write_jsonl(file: BinaryIO, rows: pa.Table, progress: Progress) -> None:
    file.writelines(map(to_json_lines, counted(rows, progress)))


_WRITERS = {"parquet": _write_parquet, "jsonl": _write_jsonl}
FORMATS = (*_WRITERS, "hf")
"""The formats that a version is exported to whole."""
