"""Ingest: the rows of a source in canonical shape, each with an id that it keeps whatever happens around it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from lope_data.chat import canonical_messages
from lope_data.errors import SourceError, suggest
from lope_data.recipe import Columns
from lope_data.rng import Draw, row_hashes
from lope_data.shapes import OPS, ROW_ID, SHAPE, SHAPES, Shape, storable

INGEST_VERSION = 1  # of the rules below; part of the id of an ingested version


def ingest_table(
    table: pa.Table, where: str, shape: str | None, columns: Columns, limit: int | None, seed: int
) -> pa.Table:
    """The canonical rows.

    Args:
        where: the source's name, for messages.
        shape: a shape's name, or None to recognise it, row by row, from the columns.
        limit: keep this many rows, a keyed sample in the source's order.

    Raises:
        SourceError: no rows, no known shape, a column of the wrong type, a row without text; says row and column.
    """
    if not len(table):
        raise SourceError(f"{where}: has no rows")
    taken = [name for name in (ROW_ID, SHAPE, OPS) if name in table.column_names]
    if taken:
        raise SourceError(f"{where}: column {taken[0]!r} has a name that versions use; rename it in the source")
    table, ids = _renamed(table, where, columns)
    if ids is not None:  # in the order of their ids, so that the order of the source decides nothing
        order = pc.sort_indices(ids)
        table, ids = table.take(order), ids.take(order)
    shapes = _shapes(table, where, shape)
    table = pa.table({name: _typed(table, name, shapes, where) for name in table.column_names})
    marks = _marks(table, shapes, where)
    table = table.append_column(ROW_ID, _row_ids(table, where) if ids is None else _given_ids(ids, where))
    table = table.append_column(SHAPE, marks)
    table = table.append_column(
        OPS, pa.array([[]], pa.list_(pa.string())).take(pa.array(np.zeros(len(table), np.int64)))
    )
    if limit is not None and limit < len(table):
        rank = Draw((seed, "limit"), row_hashes(table[ROW_ID])).bits("rank")
        table = table.take(pa.array(np.sort(np.argsort(rank)[:limit])))
    return table.combine_chunks()


def _renamed(table: pa.Table, where: str, columns: Columns) -> tuple[pa.Table, pa.Array | None]:
    """The table under canonical names, and the column of ids if one is named."""
    for name in columns.model_dump(exclude_none=True).values():
        if name not in table.column_names:
            raise SourceError(f"{where}: no column {name!r}, which [columns] names{suggest(name, table.column_names)}")
    ids = table[columns.id].combine_chunks() if columns.id else None
    new_name = {old: new for new, old in columns.model_dump(exclude_none=True, exclude={"id"}).items()}
    for old, new in new_name.items():
        if new != old and new in table.column_names and new not in new_name:
            raise SourceError(f"{where}: [columns] maps {old!r} to {new!r}, which is there already; rename or drop one")
    return table.rename_columns([new_name.get(name, name) for name in table.column_names]), ids


def _shapes(table: pa.Table, where: str, name: str | None) -> list[Shape]:
    names = set(table.column_names)
    candidates = [SHAPES[name]] if name else list(SHAPES.values())
    found = [shape for shape in candidates if set(shape.required) <= names]
    if found:
        return found
    nearest = max(candidates, key=lambda shape: len(set(shape.required) & names))
    missing = ", ".join(repr(column) for column in nearest.required if column not in names)
    wanted = "; ".join(f"{shape.name}: {', '.join(shape.required)}" for shape in candidates)
    raise SourceError(
        f"{where}: columns {', '.join(table.column_names) or '(none)'} fit no shape ({wanted}); missing {missing}: "
        "rename the columns, or map them in a recipe's [columns]"
    )


def _typed(table: pa.Table, name: str, shapes: list[Shape], where: str) -> pa.Array:
    """The column in its canonical type; other columns as they are."""
    column = table[name].combine_chunks()
    wanted = next((shape.columns[name] for shape in shapes if name in shape.columns), None)
    if isinstance(column.type, pa.DictionaryType):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if name == "messages" and wanted is not None:
        return canonical_messages(column, where)
    if wanted is None:
        if pa.types.is_null(column.type):
            return column.cast(pa.string())
        if not storable(column.type):
            raise SourceError(f"{where}, column {name!r}: a version cannot hold {column.type}; drop or convert it")
        return column
    if name == "label" and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        return column.cast(pa.string())
    narrow = pa.types.is_null(column.type) or column.type.equals(wanted) or _text_like(column.type, wanted)
    integer = wanted == pa.int64() and (
        pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )
    if not narrow and not integer:
        row = int(pc.index(column.is_valid(), True).as_py())
        shown = json.dumps(column[row].as_py(), default=str)[:60]
        raise SourceError(f"{where}, row {row}, column {name!r}: {shown} is {column.type}, where {wanted} is needed")
    try:
        return column.cast(pa.large_string() if wanted == pa.string() and column.nbytes > 2**31 - 1 else wanted)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{where}, column {name!r}: not {wanted} ({error})") from error


def _text_like(kind: pa.DataType, wanted: pa.DataType) -> bool:
    if wanted == pa.string():
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if pa.types.is_list(wanted) and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return pa.types.is_null(kind.value_type) or _text_like(kind.value_type, wanted.value_type)
    return False


def _marks(table: pa.Table, shapes: list[Shape], where: str) -> pa.Array:
    """The shape of each row: the first whose key column is not null."""
    marks: pa.Array = pa.nulls(len(table), pa.string())
    for shape in shapes:
        marks = pc.if_else(pc.and_(marks.is_null(), table[shape.key].combine_chunks().is_valid()), shape.name, marks)
    if marks.null_count:
        row = int(pc.index(marks.is_null(), True).as_py())
        keys = " and ".join(repr(shape.key) for shape in shapes) + (" is" if len(shapes) == 1 else " are")
        raise SourceError(
            f"{where}, row {row}: {keys} null ({marks.null_count} such rows in all); remove these rows or fill them in"
        )
    return marks


def _row_ids(table: pa.Table, where: str) -> pa.Array:
    """128 bits of the canonical row as hex; the second and later of equal rows get `-1`, `-2`, ..."""
    wide = pa.large_string()
    parts = [pa.array([""], wide).take(pa.array(np.zeros(len(table), np.int64)))]
    for name in sorted(table.column_names):  # a null says nothing, so a row's id does not hang on others' columns
        try:
            text = _text(table[name].combine_chunks())
        except (pa.ArrowException, OverflowError, ValueError) as error:  # a time zone that is none, a date out of range
            raise SourceError(f"{where}, column {name!r}: it holds values that cannot be read ({error})") from error
        head = pc.binary_join_element_wise(
            pa.scalar(f"{name}=", wide), pc.binary_length(text).cast(wide), pa.scalar(":", wide)
        )
        parts += [pc.fill_null(head, ""), pc.fill_null(text, "")]
    rows = pc.binary_join_element_wise(*parts, pa.scalar("", wide)).cast(pa.large_binary())
    ids = pa.array(map(xxhash.xxh3_128_hexdigest, rows.to_pylist()), pa.string())
    frame = pl.DataFrame({"id": pl.from_arrow(ids)}).select("id", nth=pl.int_range(pl.len()).over("id"))
    again = frame["nth"].to_numpy()
    if not again.any():
        return ids
    return pa.array([f"{i}-{n}" if n else i for i, n in zip(ids.to_pylist(), again.tolist(), strict=True)], pa.string())


def _text(column: pa.Array) -> pa.Array:
    """A canonical text of each value: strings as they are, the rest as JSON."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.large_string())
    return pa.array(
        [None if value is None else json.dumps(value, sort_keys=True, default=str) for value in column.to_pylist()],
        pa.large_string(),
    )


def _given_ids(ids: pa.Array, where: str) -> pa.Array:
    if ids.null_count:
        raise SourceError(f"{where}, row {pc.index(ids.is_null(), True).as_py()}: the id is null; give every row one")
    if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise SourceError(f"{where}: ids must be strings or integers, not {ids.type}")
    text = ids.cast(pa.string())
    counts = pc.value_counts(text)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise SourceError(
            f"{where}: the id {repeated[0]['values'].as_py()!r} stands on {repeated[0]['counts'].as_py()} rows; "
            "ids must be unique"
        )
    return text
