"""Exporting rows alone, for other tools: in the source's own form or another, as one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from lope_common.files import new_file, new_folder
from lope_common.progress import Progress
from lope_data.errors import StoreError
from lope_data.forms.form import Form
from lope_data.forms.shaping import Shaping, layout_of, shaped
from lope_data.store.commit import features
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.transfer.exporting import free_place
from lope_data.transfer.row_lines import part_lines
from lope_data.transfer.writers import counted, write_csv, write_parquet, write_saved

FORMATS = ("jsonl", "parquet", "csv", "hf")
"""The formats that rows are exported to."""


def export_rows(
    version: Version, form: Form, kind: str, out: Path, progress: Progress, *, lope_columns: bool = False
) -> None:
    """Writes the rows of a version in a form to a new file, whole or not at all.

    Args:
        kind: one of FORMATS; `hf` is a folder, which `datasets.load_from_disk` opens.
        lope_columns: add the columns of ids, shapes, ops and weights.

    Raises:
        StoreError: the file exists or cannot be written, the form or the format cannot hold a row, or the version's
            files are not those of its manifest.
    """
    out = free_place(out)
    check_files(version)
    rows, what = version.rows, version.ref
    with _written(out):
        if kind == "jsonl":
            shaping = Shaping(rows, form, lope_columns=lope_columns, what=what)
            with new_file(out) as file:
                file.writelines(_counted(shaping, len(rows), progress))
            return
        table = shaped(rows, form, lope_columns=lope_columns, what=what)
        found = features(table.schema, layout_of(table, form, version.layout))
        if kind == "hf":
            with new_folder(out) as folder:
                write_saved(folder, table.schema, counted(table, progress), found, f"{what} {form.name} {lope_columns}")
            return
        with new_file(out) as file:
            _write(file, kind, table, found, progress)


def _write(file: BinaryIO, kind: str, table: pa.Table, found: Any, progress: Progress) -> None:
    parts = counted(table, progress)
    if kind == "parquet":
        write_parquet(file, table.schema, parts, found)
    else:
        write_csv(file, parts)


@contextmanager
def _written(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {out} ({error.strerror or error}); nothing was kept of it") from error


def _counted(shaping: Shaping, rows: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    for part in shaping.parts():
        yield part_lines(part)
        done += part.rest.num_rows
        progress("rows written", done, rows)
