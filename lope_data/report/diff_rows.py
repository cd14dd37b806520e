"""What differs between the rows of two versions: which rows they share, and which columns of these differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import StoreError
from lope_data.report.statistics import edit_shards
from lope_data.rows.arrow_types import is_list
from lope_data.rows.json_type import is_json, json_texts, loads, type_name
from lope_data.rows.plain import plain_rows
from lope_data.rows.shapes import OPS, ROW_ID
from lope_data.rows.values import text_of
from lope_data.store.version import Version
from lope_data.text.buffers import Mask
from lope_data.text.draws import I64

_SLICE = 20_000  # rows compared as Python values at once
_NAMED = 3  # rows of one version only whose ids are given
_EDIT = ("step", "seq", "path", "op", "start", "end", "before", "after", "detail")


@dataclass(frozen=True)
class Pair:
    """A row that differs. `values`: column -> (value in A, value in B), of the columns that differ."""

    row_id: str
    ops: tuple[list[str], list[str]]
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class RowDifference:
    """Rows compared by their ids.

    Attributes:
        common, only_a, only_b: rows in both, and in one version only.
        ids_only_a, ids_only_b: the first of these.
        same_order: whether the common rows stand in one order.
        different: common rows with other values in a column that both versions have; `lope_ops` is no value.
        columns: column -> how many of the common rows differ in it.
        columns_only_a, columns_only_b: columns of one version only, with their types.
        types: column -> its types where these differ in more than width.
        touched: common rows with noise in `both`, `a` only, `b` only, `neither`.
        same_edits: rows touched in both whose edits are the same.
        pairs: the first rows that differ, in A's order; JSON is read, and classes have their names.
    """

    common: int
    only_a: int
    only_b: int
    ids_only_a: list[str]
    ids_only_b: list[str]
    same_order: bool
    different: int
    columns: dict[str, int]
    columns_only_a: dict[str, str]
    columns_only_b: dict[str, str]
    types: dict[str, tuple[str, str]]
    touched: dict[str, int]
    same_edits: int
    pairs: list[Pair]

    @property
    def record(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


def row_difference(a: Version, b: Version, count: int) -> RowDifference:
    """Compares the rows of two versions; `count`: how many rows that differ are given in full.

    Raises:
        StoreError: a version cannot be read, or its rows are not as FORMAT.md has them.
    """
    try:
        return _row_difference(a, b, count)
    except (pa.ArrowException, pl.exceptions.PolarsError, KeyError, OSError, ValueError) as error:
        raise StoreError(f"{a.ref} and {b.ref} cannot be compared ({error}); is one of them damaged?") from error


def _row_difference(a: Version, b: Version, count: int) -> RowDifference:
    rows_a, rows_b = a.rows, b.rows
    match = _match(rows_a, rows_b)
    places_a, places_b = match.places
    shared = [name for name in rows_a.column_names if name in rows_b.column_names]
    columns: dict[str, Mask] = {}
    types = {}
    for name in shared:
        if name in (ROW_ID, OPS):
            continue
        one, other = rows_a[name], rows_b[name]
        if _plain(one.type) != _plain(other.type):
            types[name] = (type_name(one.type), type_name(other.type))
        classes = [version.layout.classes.get(name, ()) for version in (a, b)]
        if classes[0] != classes[1]:  # then equal numbers may mean different classes
            one, other = (_named(column, names) for column, names in zip((one, other), classes, strict=True))
        columns[name] = _unequal(one, other, places_a, places_b)
    differs = np.zeros(match.count, bool)
    for mask in columns.values():
        differs |= mask
    touched = [_at(_touched(rows[OPS]), places) for rows, places in ((rows_a, places_a), (rows_b, places_b))]
    both = touched[0] & touched[1]
    pairs = []
    for i in np.flatnonzero(differs)[:count].tolist():
        at_a, at_b = (i if places is None else int(places[i]) for places in match.places)
        row_a, row_b = plain_rows(rows_a.slice(at_a, 1))[0], plain_rows(rows_b.slice(at_b, 1))[0]
        values = {name: (row_a[name], row_b[name]) for name, mask in columns.items() if mask[i]}
        pairs.append(Pair(row_a[ROW_ID], (row_a[OPS] or [], row_b[OPS] or []), values))
    return RowDifference(
        common=match.count,
        only_a=len(rows_a) - match.count,
        only_b=len(rows_b) - match.count,
        ids_only_a=match.ids_only_a,
        ids_only_b=match.ids_only_b,
        same_order=places_b is None or bool(np.all(np.diff(places_b) > 0)),
        different=int(differs.sum()),
        columns={name: int(mask.sum()) for name, mask in columns.items() if mask.any()},
        columns_only_a=_columns_only(rows_a, rows_b),
        columns_only_b=_columns_only(rows_b, rows_a),
        types=types,
        touched={
            "both": int(both.sum()),
            "a": int((touched[0] & ~touched[1]).sum()),
            "b": int((touched[1] & ~touched[0]).sum()),
            "neither": int((~touched[0] & ~touched[1]).sum()),
        },
        same_edits=_same_edits(a, b) if both.any() else 0,
        pairs=pairs,
    )


def _columns_only(one: pa.Table, other: pa.Table) -> dict[str, str]:
    return {field.name: type_name(field.type) for field in one.schema if field.name not in other.column_names}


@dataclass(frozen=True)
class _Match:
    """`places`: of the common rows in A, ascending, and in B; None where that is all rows as they stand."""

    count: int
    places: tuple[I64 | None, I64 | None]
    ids_only_a: list[str]
    ids_only_b: list[str]


def _match(a: pa.Table, b: pa.Table) -> _Match:
    ids_a, ids_b = (pl.from_arrow(rows[ROW_ID]) for rows in (a, b))
    assert isinstance(ids_a, pl.Series)
    assert isinstance(ids_b, pl.Series)
    if len(ids_a) == len(ids_b) and not ids_a.ne_missing(ids_b).any():  # as in a chain: row i is its parent's row i
        return _Match(len(a), (None, None), [], [])
    left = pl.DataFrame({"id": ids_a}).with_row_index("a")
    right = pl.DataFrame({"id": ids_b}).with_row_index("b")
    both = left.join(right, on="id", validate="1:1").sort("a")
    only = [
        one.join(other, on="id", how="anti").sort(at) for one, other, at in ((left, right, "a"), (right, left, "b"))
    ]
    places = tuple(both[at].to_numpy().astype(np.int64) for at in ("a", "b"))
    named = [frame["id"].head(_NAMED).to_list() for frame in only]
    return _Match(len(both), (places[0], places[1]), named[0], named[1])


def _at(values: Mask, places: I64 | None) -> Mask:
    return values if places is None else values[places]


def _touched(ops: pa.ChunkedArray) -> Mask:
    mask: Mask = pc.greater(pc.fill_null(pc.list_value_length(ops), 0), 0).to_numpy()
    return mask


def _unequal(a: pa.ChunkedArray, b: pa.ChunkedArray, places_a: I64 | None, places_b: I64 | None) -> Mask:
    """Where the values differ; null equals null, whatever the width of the type."""
    if is_json(a.type) and is_json(b.type):
        return _unequal(_texts(a), _texts(b), places_a, places_b)
    if _plain(a.type) != _plain(b.type) or "decimal256" in str(a.type):  # which polars does not read
        return _unequal_values(a, b, places_a, places_b)
    one, other = (_series(column, places) for column, places in ((a, places_a), (b, places_b)))
    mask: Mask = one.ne_missing(other).to_numpy()
    return mask


def _named(column: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """The names of classes for their numbers, if the column holds numbers of classes."""
    if not names:
        return column
    return pa.chunked_array([text_of(chunk, names) for chunk in column.chunks], pa.large_string())


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([json_texts(chunk) for chunk in column.chunks], column.type.storage_type)


def _series(column: pa.ChunkedArray, places: I64 | None) -> pl.Series:
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series if places is None else series.gather(places)


def _unequal_values(a: pa.ChunkedArray, b: pa.ChunkedArray, places_a: I64 | None, places_b: I64 | None) -> Mask:
    """The same for columns of different types, by their Python values: slower, and at home in any type."""
    count = len(a) if places_a is None else len(places_a)
    found = np.zeros(count, bool)
    for low in range(0, count, _SLICE):
        one, other = (_values(column, places, low) for column, places in ((a, places_a), (b, places_b)))
        found[low : low + _SLICE] = [_bare(x) != _bare(y) for x, y in zip(one, other, strict=True)]
    return found


def _values(column: pa.ChunkedArray, places: I64 | None, low: int) -> list[Any]:
    part = column.slice(low, _SLICE) if places is None else column.take(pa.array(places[low : low + _SLICE]))
    values: list[Any] = part.to_pylist()
    return [None if value is None else loads(value) for value in values] if is_json(column.type) else values


def _bare(value: Any) -> Any:
    """A value without the keys that hold nothing, and with truth told apart from numbers."""
    if isinstance(value, Mapping):
        return {key: _bare(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_bare(inner) for inner in value]
    return (value,) if isinstance(value, bool) else value


def _plain(kind: pa.DataType) -> Any:
    """The type without the widths of texts and lists, and the names of list items."""
    if is_list(kind):
        return ("list", _plain(kind.value_type))
    if pa.types.is_struct(kind):
        return tuple((field.name, _plain(field.type)) for field in kind)
    return pa.string() if pa.types.is_large_string(kind) else kind


def _same_edits(a: Version, b: Version) -> int:
    """How many rows have the same edits in both."""
    joined = _hashed(a).join(_hashed(b), on="row_id", validate="1:1")
    return int((joined["edits"] == joined["edits_right"]).sum())


def _hashed(version: Version) -> pl.DataFrame:
    """A hash of each row's edits, shard by shard, so that their texts are not in memory all at once."""
    parts = [pl.DataFrame({"row_id": [], "edits": []}, schema={"row_id": pl.String, "edits": pl.UInt64})]
    for shard in edit_shards(version, ["row_id", *_EDIT]):
        frame = pl.DataFrame(shard.to_pydict() if not len(shard) else pl.from_arrow(shard))
        hashes = frame.select(pl.col("row_id"), edits=frame.select(_EDIT).hash_rows())
        parts.append(hashes.group_by("row_id", maintain_order=True).agg(pl.col("edits").bitwise_xor()))
    return pl.concat(parts)
