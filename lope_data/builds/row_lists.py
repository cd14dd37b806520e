"""Lists of rows by their ids, of a user or of `lope_train score`: a file or an object in memory, read and checked."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

import pyarrow as pa

from lope_common.errors import shown, suggest
from lope_common.places import typed_path
from lope_data.errors import SourceError
from lope_data.rows.json_type import is_json, loads
from lope_data.rows.values import text_of
from lope_data.sources import InMemory, in_memory, open_source
from lope_data.text.buffers import whole

ID = "row_id"
TARGET = "target"
WEIGHT = "weight"
_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")


def read_list(given: Any, option: str, columns: tuple[str, ...]) -> dict[str, list[str]]:
    """The columns of a list as texts, as a version has the texts of targets; others that it has are ignored.

    Args:
        given: a file (csv, jsonl, json, parquet), or a table of Arrow, a frame of polars or pandas, a list of dicts.
        option: what asks for it, for messages: `drop (--drop)`.
        columns: those that it must have; the first holds the ids.

    Raises:
        SourceError: it cannot be read, is empty, lacks a column, has no value in a row, or an id twice; says where.
    """
    where, table = _table(given, option)
    if not len(table):
        raise SourceError(f"{option}: {where} lists no row")
    if missing := [name for name in columns if name not in table.column_names]:
        raise SourceError(f"{option}: {where} has no column {missing[0]!r}{suggest(missing[0], table.column_names)}")
    found = {name: _texts(whole(table[name])) for name in columns}
    for name, values in found.items():
        absent = (None, "") if name == ID else (None,)  # an empty field of csv is a text
        if (row := next((number for number, value in enumerate(values, start=1) if value in absent), None)) is not None:
            raise SourceError(f"{option}: {where}, row {row}: has no {name!r}")
    ids = found[columns[0]]
    if len(set(ids)) < len(ids):
        first: dict[str | None, int] = {}
        for number, row_id in enumerate(ids, start=1):
            if first.setdefault(row_id, number) < number:
                raise SourceError(
                    f"{option}: {where}, row {number}: the id {shown(row_id)} stands in row {first[row_id]} too; "
                    "list each row once"
                )
    return {name: [str(value) for value in values] for name, values in found.items()}


def _table(given: Any, option: str) -> tuple[str, pa.Table]:
    """What messages call the list, and the list, read as a source is."""
    source: str | InMemory
    if isinstance(given, str | PathLike):
        path = typed_path(fspath(given))
        if path.suffix.lower() not in _SUFFIXES:
            raise SourceError(f"{option}: {shown(str(given))} is not a .csv, .jsonl, .json or .parquet file")
        if not path.is_file():  # a folder, a pattern and a URL could be sources
            raise SourceError(f"{option}: there is no file {shown(str(path))}")
        source = where = str(path)
    else:
        try:
            source, where = in_memory(given), "the list"
        except SourceError:
            raise SourceError(
                f"{option}: must be a file, a table, a frame or a list of dicts, not {shown(given)}"
            ) from None
    try:
        return where, open_source(source).read()
    except SourceError as error:
        raise SourceError(f"{option}: {error}") from error


def _texts(column: pa.Array) -> list[str | None]:
    """The texts of values; a string is its own text in a column of several types too."""
    if not is_json(column.type):
        return text_of(column).to_pylist()  # type: ignore[no-any-return]
    texts: list[str | None] = text_of(column).to_pylist()
    return [text if text is None or not text.startswith('"') else str(loads(text)) for text in texts]
