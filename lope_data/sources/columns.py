"""Pieces of a column, from blocks or files of one source, as one column of one type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa


def joined(pieces: Sequence[pa.Table], conflict: Callable[[int, str, pa.DataType], Exception]) -> pa.Table:
    """One table: columns that a piece lacks are null in it, types widen where no value changes (int64 to double).

    Args:
        conflict: the error for (piece, column, type of that column in the pieces before it).
    """
    names = list(dict.fromkeys(name for piece in pieces for name in piece.column_names))
    rows = sum(map(len, pieces))
    columns = {name: _column(pieces, name, conflict) for name in names}
    assert all(len(column) == rows for column in columns.values())
    return pa.table(columns)


def _column(
    pieces: Sequence[pa.Table], name: str, conflict: Callable[[int, str, pa.DataType], Exception]
) -> pa.ChunkedArray:
    chunks = []
    common = pa.schema([(name, pa.null())])
    for i, piece in enumerate(pieces):
        chunk = piece[name] if name in piece.column_names else pa.chunked_array([pa.nulls(len(piece))])
        if pa.types.is_dictionary(chunk.type):  # of another piece, another dictionary
            chunk = chunk.cast(chunk.type.value_type)
        try:
            merged = pa.unify_schemas([common, pa.schema([(name, chunk.type)])], promote_options="permissive")
        except pa.ArrowException as error:
            raise conflict(i, name, common.field(0).type) from error
        common = merged
        chunks.append(chunk)
    tables = []
    for i, chunk in enumerate(chunks):
        try:
            empty = pa.table({name: pa.array([], common.field(0).type)})
            tables.append(pa.concat_tables([empty, pa.table({name: chunk})], promote_options="permissive"))
        except (pa.ArrowException, OverflowError) as error:  # an integer that no double is, beside doubles
            raise conflict(i, name, common.field(0).type) from error
    return pa.concat_tables(tables)[name]
