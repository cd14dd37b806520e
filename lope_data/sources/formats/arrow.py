"""Parquet and Arrow files, checked whole: their offsets and text may say anything, and are trusted afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(path: Path) -> pa.Table:
    """The rows of a Parquet file; the folders it lies in say nothing about them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return checked(file.read(), path)


def read_arrow(path: Path) -> pa.Table:
    """The rows of an Arrow file, in either of the two formats; text is read from the disk when it is used."""
    return checked(mapped(path), path)


def mapped(path: Path) -> pa.Table:
    """The rows of an Arrow file, memory-mapped and unchecked."""
    import pyarrow as pa

    data = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(data).read_all()
    except pa.ArrowInvalid:
        data.seek(0)
        return pa.ipc.open_stream(data).read_all()


def checked(table: pa.Table, path: Path) -> pa.Table:
    """The table. Raises SourceError: it is damaged."""
    import pyarrow as pa

    try:
        fields = list(table.schema)
        while fields:  # names are read here, since they may be no text
            field = fields.pop()
            assert field.name is not None
            fields += [field.type.field(i) for i in range(field.type.num_fields)]
        table.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: damaged ({error}); write it again") from error
    for name in table.column_names:
        if isinstance(table[name].type, pa.JsonType):
            _check_json(table[name], f"{path}, column {name!r}")
    return table


def _check_json(column: pa.ChunkedArray, place: str) -> None:
    from lope_data.rows.json_type import read_quickly

    for row, text in enumerate(column.to_pylist()):
        try:
            if text is not None:
                read_quickly(text)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{place}: row {row} is not valid JSON ({error}); write it again") from error


FORMATS = {
    ".parquet": Format(lambda path, _: read_parquet(path), text=False),
    ".arrow": Format(lambda path, _: read_arrow(path), text=False),
}
