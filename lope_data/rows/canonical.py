"""Ingest: the rows of a source in canonical shape, each with an id that it keeps whatever happens around it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import suggest
from lope_common.progress import Notice, silent
from lope_data.errors import SourceError
from lope_data.rows.columns import Columns
from lope_data.rows.ids import content_ids, given_ids
from lope_data.rows.messages import canonical_messages
from lope_data.rows.recognise import no_shape, recognised
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE, SHAPES, Shape, fitting, storable
from lope_data.text.buffers import whole
from lope_data.text.draws import Draw, row_hashes

_WIDE = 2**31 - 1  # bytes of text that offsets of 32 bits can count
_DEPTH = 40  # of lists and structs; Arrow's files hold some 60


def ingest_table(
    table: pa.Table,
    where: str,
    shape: str | None,
    columns: Columns,
    limit: int | None,
    seed: int,
    notice: Notice = silent,
) -> pa.Table:
    """The canonical rows.

    Args:
        where: the source's name, for messages.
        shape: a shape's name, or None to recognise it, row by row, from the columns.
        limit: keep this many rows, a keyed sample in the source's order.
        notice: called with which columns were recognised under other names, if any were.

    Raises:
        SourceError: no rows, no known shape, a column of the wrong type, a row without text; says row and column.
    """
    if not len(table):
        raise SourceError(f"{where}: has no rows")
    taken = [name for name in (ROW_ID, SHAPE, OPS) if name in table.column_names]
    if taken:
        raise SourceError(f"{where}: column {taken[0]!r} has a name that versions use; rename it in the source")
    table = pa.table({name: _whole(table[name], f"{where}, column {name!r}") for name in table.column_names})
    table, own_ids = _renamed(table, where, columns)
    found = recognised(table.column_names, shape, where)
    table = table.rename_columns([_new_name(found, name) for name in table.column_names])
    if found:
        notice(f"{where}: reading {', '.join(f'{called!r} as {column}' for column, called in found.items())}")
    theirs = columns.model_dump(exclude_none=True) | found
    ids = None if own_ids is None else given_ids(own_ids, where)
    if ids is not None:  # in the order of their ids, so that the order of the source decides nothing
        order = pc.sort_indices(own_ids)
        table, ids = table.take(order), ids.take(order)
    given = {column: name for column, name in columns.model_dump(exclude_none=True).items() if isinstance(name, str)}
    shapes = _shapes(table, where, shape, given)
    table = pa.table({name: _typed(table, name, shapes, where, theirs.get(name)) for name in table.column_names})
    marks = _marks(table, shapes, where, theirs)
    table = table.append_column(ROW_ID, content_ids(table, where) if ids is None else ids)
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
    named = columns.model_dump(exclude_none=True)
    for value in named.values():
        for name in (value,) if isinstance(value, str) else value:
            if name not in table.column_names:
                known = suggest(name, table.column_names)
                raise SourceError(f"{where}: no column {name!r}, which [columns] or --columns names{known}")
    ids = whole(table[named.pop("id")]) if columns.id else None
    if isinstance(columns.choices, tuple):
        table = _with_choices(table, columns.choices, where)
        del named["choices"]
    new_name: dict[str, str] = {}
    for new, old in named.items():
        if old in new_name:
            raise SourceError(f"{where}: {old!r} is named as {new_name[old]} and as {new}; it can be one of them")
        new_name[old] = new
    for old, new in new_name.items():
        if old not in table.column_names:
            raise SourceError(f"{where}: [columns] names {old!r} as {new!r} and as a choice; it can be one of them")
        if new != old and new in table.column_names and new not in new_name:
            raise SourceError(f"{where}: [columns] maps {old!r} to {new!r}, which is there already; rename or drop one")
    return table.rename_columns([new_name.get(name, name) for name in table.column_names]), ids


def _with_choices(table: pa.Table, names: tuple[str, ...], where: str) -> pa.Table:
    """The table with several columns as one list, `choices`."""
    if "choices" in table.column_names and "choices" not in names:
        raise SourceError(f"{where}: [columns] joins {', '.join(names)} to 'choices', which is there already")
    texts = []
    for name in names:
        text = _plain(whole(table[name]))
        if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type) or pa.types.is_null(text.type)):
            raise SourceError(f"{where}, column {name!r}: a choice is text, not {text.type}")
        if text.null_count:
            row = pc.index(text.is_null(), True).as_py()
            raise SourceError(f"{where}, row {row}: {name!r} is null, where [columns] expects a choice")
        texts.append(text.cast(pa.large_string()))
    count = len(names)
    order = np.arange(len(table) * count).reshape(count, -1).T.ravel()  # column by column -> row by row
    flat = pa.concat_arrays(texts).take(pa.array(order))
    flat = flat.cast(pa.string()) if flat.nbytes < _WIDE else flat
    offsets = pa.array(np.arange(0, len(flat) + 1, count), pa.int64())
    choices = pa.LargeListArray.from_arrays(offsets, flat)
    place = min(table.column_names.index(name) for name in names)
    rest = table.drop_columns(list(names))
    before = sum(name not in names for name in table.column_names[:place])
    return rest.add_column(before, "choices", choices.cast(pa.list_(flat.type)))


def _new_name(found: Mapping[str, str], name: str) -> str:
    return next((column for column, called in found.items() if called == name), name)


def _whole(column: pa.ChunkedArray, where: str) -> pa.Array:
    """The column in one piece."""
    if pa.types.is_string(column.type) and column.nbytes >= _WIDE:
        column = column.cast(pa.large_string())
    try:
        return whole(column)
    except pa.ArrowException as error:  # offsets of nested text have 32 bits
        raise SourceError(f"{where}: too much text in one column ({error}); split the source") from error


def _plain(column: pa.Array) -> pa.Array:
    """The column with text as text, however it was encoded."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def _shapes(table: pa.Table, where: str, name: str | None, given: Mapping[str, str]) -> list[Shape]:
    names = set(table.column_names)
    candidates = [SHAPES[name]] if name else list(SHAPES.values())
    found = [shape for shape in candidates if set(shape.required) <= names]
    if found:
        return found
    raise no_shape(table.column_names, name, where, _roles(table), given)


def _roles(table: pa.Table) -> list[str]:
    """The first few roles, where each row seems to be one message of a conversation."""
    names = table.column_names
    name = "role" if "role" in names else "from" if {"from", "value"} <= set(names) else None
    if name is None or not pa.types.is_string(table[name].type):
        return []
    return [role for role in table[name].unique().to_pylist() if role is not None][:5]


def _typed(table: pa.Table, name: str, shapes: list[Shape], where: str, theirs: object) -> pa.Array:
    """The column in its canonical type; other columns as they are. `theirs` is the source's name of it."""
    called = repr(theirs) if isinstance(theirs, str) else repr(name)
    column = _plain(whole(table[name]))
    wanted = next((shape.columns[name] for shape in shapes if name in shape.columns), None)
    if name == "messages" and wanted is not None:
        return canonical_messages(column, where, called)
    if wanted is None:
        if pa.types.is_null(column.type):
            return column.cast(pa.string())
        if _is_deep(column.type):
            raise SourceError(f"{where}, column {called}: nested more than {_DEPTH} deep; drop or flatten it")
        if not storable(column.type):
            raise SourceError(f"{where}, column {called}: a version cannot hold {column.type}; drop or convert it")
        return column
    if name == "label" and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        return column.cast(pa.string())
    narrow = pa.types.is_null(column.type) or column.type.equals(wanted) or _text_like(column.type, wanted)
    integer = wanted == pa.int64() and (
        pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )
    if not narrow and not integer:
        row = int(pc.index(column.is_valid(), True).as_py())
        raise SourceError(
            f"{where}, row {row}, column {called}: {_shown(column[row])} is {column.type}, where {wanted} is needed"
        )
    wide = wanted == pa.string() and column.nbytes >= _WIDE
    try:
        return column.cast(pa.large_string() if wide else wanted)
    except pa.ArrowInvalid as error:
        row = _first_misfit(column, wanted)
        raise SourceError(
            f"{where}, row {row}, column {called}: {_shown(column[row])} is not {wanted}; fix it, or map another "
            f"column, --columns {name}=COLUMN"
        ) from error


def _first_misfit(column: pa.Array, wanted: pa.DataType) -> int:
    """The first row that cannot be cast, of a column with one."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            column.slice(low, middle - low).cast(wanted)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _shown(value: pa.Scalar) -> str:
    try:
        return json.dumps(value.as_py(), default=str)[:60]
    except (ValueError, OverflowError):  # a time that Python has no word for
        return str(value.type)


def _is_deep(kind: pa.DataType) -> bool:
    level = [kind]
    for _ in range(_DEPTH):
        level = [part.field(i).type for part in level for i in range(part.num_fields)]
    return bool(level)


def _text_like(kind: pa.DataType, wanted: pa.DataType) -> bool:
    if wanted == pa.string():
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if pa.types.is_list(wanted) and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return pa.types.is_null(kind.value_type) or _text_like(kind.value_type, wanted.value_type)
    return False


def _marks(table: pa.Table, shapes: list[Shape], where: str, theirs: Mapping[str, object]) -> pa.Array:
    """The shape of each row: the first whose key column is not null."""
    marks: pa.Array = pa.nulls(len(table), pa.string())
    for shape in shapes:
        marks = pc.if_else(pc.and_(marks.is_null(), whole(table[shape.key]).is_valid()), shape.name, marks)
    if marks.null_count:
        row = int(pc.index(marks.is_null(), True).as_py())
        keys = " and ".join(repr(theirs.get(shape.key, shape.key)) for shape in shapes) + (
            " is" if len(shapes) == 1 else " are"
        )
        other = ", or leave `shape` out: they may be of another" if len(shapes) == 1 < len(fitting(table)) else ""
        raise SourceError(
            f"{where}, row {row}: {keys} null ({marks.null_count} such rows in all); remove these rows or fill them "
            f"in{other}"
        )
    return marks
