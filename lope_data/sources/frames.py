"""Frames and columns of pandas and polars as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.json_type import json_column
from lope_data.sources.exact import exact_type
from lope_data.sources.plain import plain
from lope_data.sources.text import first_line

if TYPE_CHECKING:
    import pandas
    import polars

_NESTED = {"dict", "frozenset", "list", "ndarray", "set", "tuple"}


def collected(frame: polars.LazyFrame, where: str) -> polars.DataFrame:
    """What a lazy frame comes to. Raises SourceError: it cannot be computed."""
    try:
        return frame.collect()
    except Exception as error:  # whatever reading the files that it names and its own functions raise
        raise SourceError(f"{where}: cannot be computed ({first_line(error)})") from error


def of_polars(frame: polars.DataFrame, where: str) -> pa.Table:
    """The rows of a polars frame. Raises SourceError: Arrow has no type for a column."""
    return pa.table({column.name: polars_column(column, f"{where}, column {column.name!r}") for column in frame})


def polars_column(column: polars.Series, place: str) -> pa.Array:
    """A column of polars. Raises SourceError: Arrow has no type for it."""
    if str(column.dtype) == "Object":  # which polars would give as addresses
        raise SourceError(f"{place}: of polars' type Object, which holds anything; cast it to one type")
    try:
        return column.to_arrow()
    except pa.ArrowException as error:
        raise SourceError(f"{place}: a version cannot hold {column.dtype}; drop or convert it") from error


def of_pandas(frame: pandas.DataFrame, where: str) -> pa.Table:
    """The rows of a pandas frame, without the numbers that its index gives them; what pandas takes as missing is null.

    Raises:
        SourceError: the index holds more than numbers, a name of a column is no text, or a column is of several types.
    """
    check_index(frame.index, where)
    if others := [name for name in frame.columns if not isinstance(name, str)]:
        raise SourceError(f"{where}: the column {shown(others[0])} has a name that is no text; name the columns")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise SourceError(f"{where}: has two columns {twice!r}; rename one")
    return pa.table({name: pandas_column(frame[name], f"{where}, column {name!r}") for name in frame.columns})


def check_index(index: pandas.Index[Any], where: str) -> None:
    """Raises SourceError: an index with a name, or of more than row numbers, which would be lost."""
    named = [name for name in index.names if name is not None]
    if named or index.nlevels > 1 or index.dtype.kind not in "iu":
        if not len(index):
            return
        what = f"{', '.join(map(shown, named))}" if named else f"of {index.dtype}"
        raise SourceError(
            f"{where}: the index {what} would be lost; make it a column with .reset_index(), or drop it with "
            ".reset_index(drop=True)"
        )


def pandas_column(column: pandas.Series[Any], place: str) -> pa.Array | pa.ChunkedArray:
    """A column of pandas. Raises SourceError: Arrow has no type for it, or its values are of several."""
    kinds = {type(value).__name__ for value in column} if column.dtype == object else set()
    if kinds & _NESTED:
        return _exact([None if missing else value for value, missing in zip(column, column.isna(), strict=True)], place)
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, NotImplementedError, OverflowError, TypeError, ValueError) as error:
        if len(held := sorted(kinds - {"NoneType", "NAType", "NaTType"})) > 1:
            todo = "make it one type, as with .astype(str)"
            raise SourceError(f"{place}: holds {' and '.join(held)}, where one type is needed; {todo}") from error
        raise SourceError(f"{place}: a version cannot hold {column.dtype} ({first_line(error)}); convert it") from error


def _exact(values: Sequence[Any], place: str) -> pa.Array:
    """Lists and objects as they are: Arrow's own guess would give every object the keys of all."""
    found = [plain(value, place) for value in values]
    if (kind := exact_type(found)) is not None:
        with suppress(pa.ArrowException, UnicodeError):
            return pa.array(found, kind)
    return json_column(found)
