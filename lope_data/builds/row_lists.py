"""Lists of rows by their ids, of a user or of `lope_train score`: a file or an object in memory, read and checked."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_common.errors import shown, suggest
from lope_common.places import typed_path
from lope_data.errors import SourceError

if TYPE_CHECKING:
    import polars

ID = "row_id"
TARGET = "target"
_READERS = {".csv": "read_csv", ".jsonl": "read_ndjson", ".ndjson": "read_ndjson", ".json": "read_json"}
_READERS[".parquet"] = "read_parquet"


def read_list(given: Any, option: str, columns: tuple[str, ...]) -> dict[str, list[str]]:
    """The columns of a list as texts; others that it has are ignored.

    Args:
        given: a file (csv, jsonl, json, parquet), or a table of Arrow, a frame of polars, a list of dicts.
        option: what asks for it, for messages: `drop (--drop)`.
        columns: those that it must have; the first holds the ids.

    Raises:
        SourceError: it cannot be read, is empty, lacks a column, has no value in a row, or an id twice; says where.
    """
    where, frame = _frame(given, option)
    if frame.is_empty():
        raise SourceError(f"{option}: {where} lists no row")
    if missing := [name for name in columns if name not in frame.columns]:
        raise SourceError(f"{option}: {where} has no column {missing[0]!r}{suggest(missing[0], frame.columns)}")
    found = {name: [None if value is None else _text(value) for value in frame[name].to_list()] for name in columns}
    for name, values in found.items():
        if None in values:
            raise SourceError(f"{option}: {where}, row {values.index(None) + 1}: has no {name!r}")
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


def _frame(given: Any, option: str) -> tuple[str, polars.DataFrame]:
    """What messages call the list, and the list."""
    import polars

    if not isinstance(given, str | PathLike):
        try:
            return "the list", polars.DataFrame(given)
        except Exception as error:  # of any kind that the object's own interface raises
            raise SourceError(f"{option}: must be a file or a table, not {shown(given)}") from error
    path = typed_path(fspath(given))
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise SourceError(f"{option}: {shown(str(given))} is not a .csv, .jsonl, .json or .parquet file")
    more: dict[str, Any] = {"infer_schema": False} if reader == "read_csv" else {}
    try:
        return str(path), getattr(polars, reader)(path, **more)
    except polars.exceptions.NoDataError:
        raise SourceError(f"{option}: {path} lists no row") from None
    except (OSError, polars.exceptions.PolarsError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(f"{option}: cannot read {path}: {why}") from error


def _text(value: Any) -> str:
    """As a version has the text of a target: numbers and truth as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
