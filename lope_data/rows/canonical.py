"""How the rows of a source become those of a version: its own columns, a shape and an id for each, and the layout."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.progress import Notice, silent
from lope_data.errors import SourceError
from lope_data.rows.checking import Number, check_choices, check_column
from lope_data.rows.classes import class_names
from lope_data.rows.columns import Columns
from lope_data.rows.ids import ContentIds, GivenIds, content_digests, given_ids
from lope_data.rows.json_type import as_json, is_json, is_raw, loads
from lope_data.rows.layout import ABSENT, Layout, Names
from lope_data.rows.recognise import no_shape, recognised
from lope_data.rows.shapes import KEYS, OPS, OURS, ROW_ID, SHAPE, SHAPES, Kind
from lope_data.rows.stored import check_depth, stored, widened
from lope_data.text.buffers import whole
from lope_data.text.draws import I64, Draw, row_hashes

WIDE = 2**31 - 1  # bytes of a column's text that offsets of 32 bits can count
_RANKED = 100_000  # rows whose ids are held at a time


class Ids(Protocol):
    """The ids of all rows of a source."""

    def __len__(self) -> int: ...

    def take(self, places: I64) -> pa.Array:
        """The ids of these rows."""
        ...


@dataclass(frozen=True)
class Canonical:
    """What is done to each row of a source.

    Attributes:
        where: the source's name, for messages.
        asked: a shape's name, or None to recognise it, row by row, from the columns.
        columns: what somebody said of the columns.
        schema: of the source's rows.
        found: shape -> what it has -> the column that holds it.
        wide: columns whose text needs offsets of 64 bits.
    """

    where: str
    asked: str | None
    columns: Columns
    schema: pa.Schema
    found: Mapping[str, Mapping[str, Names]]
    wide: Collection[str] = ()

    @classmethod
    def of(
        cls,
        schema: pa.Schema,
        sizes: Mapping[str, int],
        some: pa.Table,
        where: str,
        asked: str | None,
        columns: Columns,
    ) -> Canonical:
        """As it is for a source.

        Args:
            schema: of its rows. The metadata may say which columns are classes, or where null means absent.
            sizes: the bytes of each column.
            some: its first rows, for messages.

        Raises:
            SourceError: no known shape, a column with a name of ours or of a type that no version holds.
        """
        names = schema.names
        has_keys = ABSENT in (schema.metadata or {})  # put there by the reader of JSON, and not by the source
        if taken := [name for name in OURS if name in names and not (name == KEYS and has_keys)]:
            raise SourceError(f"{where}: column {taken[0]!r} has a name that versions use; rename it in the source")
        for field in schema:
            stored(pa.nulls(0, field.type), f"{where}, column {field.name!r}")
        own = [name for name in names if name != KEYS]
        found = recognised(own, asked, where, columns.given, columns.id)
        if not found:
            raise no_shape(own, asked, where, _roles(some), columns.given)
        wide = [name for name, size in sizes.items() if size >= WIDE]
        return cls(where, asked, columns, schema, found, wide)

    @cached_property
    def layout(self) -> Layout:
        """The layout, without what is known of columns of JSON when all rows are made."""
        absent = tuple(json.loads((self.schema.metadata or {}).get(ABSENT, b"[]")))
        return Layout(self.found, class_names(self.schema), absent)

    def rows(self, rows: pa.Table, ids: pa.Array, number: Number = int) -> pa.Table:
        """Some rows as those of the version.

        Args:
            ids: of these rows.
            number: what a row is called in messages, by its place among these.

        Raises:
            SourceError: a column of the wrong type, a row without text; says row and column.
        """
        columns = {}
        for name in rows.column_names:
            place = f"{self.where}, column {name!r}"
            column = stored(_whole(rows[name], place), place)
            if is_json(column.type):
                check_depth(column, place, number)
            columns[name] = column
        self._check(columns, number)
        self._make_texts(columns)
        for name in self.wide:
            columns[name] = _wide(columns[name])
        columns[ROW_ID] = ids
        columns[SHAPE] = self._marks(columns, number)
        columns[OPS] = pa.array([[]], pa.list_(pa.string())).take(pa.array(np.zeros(len(ids), np.int64)))
        return pa.table(columns)

    def raw(self, rows: pa.Table) -> list[str]:
        """The columns of JSON of some rows that readers with numbers of 64 bits would not give back exactly."""
        names = (name for name in self.schema.names if name in rows.column_names)
        return [name for name in names if is_json(rows[name].type) and is_raw(whole(rows[name]))]

    def say(self, notice: Notice) -> None:
        """Says what of the columns was recognised, and where it may be that a label was not."""
        given = self.columns.given
        said = {
            role: name
            for has in self.found.values()
            for role, name in has.items()
            if role != name and role not in given
        }
        if said:
            notice(f"{self.where}: reading {', '.join(f'{name!r} as {role}' for role, name in said.items())}")
        if list(self.found) == ["text"] and len(self.schema.names) > 1:
            name = self.found["text"]["text"]
            todo = f"to give one, --columns text={name},label=COLUMN"
            notice(f"{self.where}: reading {name!r} as plain text, without a label; {todo}")

    def _check(self, columns: Mapping[str, pa.Array], number: Number) -> None:
        """That each column holds what its place in a shape asks for."""
        checked: set[tuple[str, Kind]] = set()
        for shape, has in self.found.items():
            for role, named in has.items():
                kind = SHAPES[shape].kinds[role]
                if not isinstance(named, str):
                    check_choices([columns[name] for name in named], self.where, named, number)
                elif (named, kind) not in checked:
                    checked.add((named, kind))
                    check_column(columns[named], kind, role, self.where, named, number)

    def _make_texts(self, columns: dict[str, pa.Array]) -> None:
        """Makes texts strings: a column of JSON may hold nothing else."""
        for shape, has in self.found.items():
            for role, name in has.items():
                if SHAPES[shape].kinds[role] == "text" and isinstance(name, str) and is_json(columns[name].type):
                    texts = [None if text is None else loads(text) for text in columns[name].to_pylist()]
                    columns[name] = pa.array(texts, pa.large_string())

    def _marks(self, columns: Mapping[str, pa.Array], number: Number) -> pa.Array:
        """The shape of each row: the first whose key column is not null."""
        marks: pa.Array = pa.nulls(len(columns[ROW_ID]), pa.string())
        keys = {shape: has[SHAPES[shape].key] for shape, has in self.found.items()}
        for shape, key in keys.items():
            assert isinstance(key, str)
            marks = pc.if_else(pc.and_(marks.is_null(), columns[key].is_valid()), shape, marks)
        if marks.null_count:
            row = number(int(pc.index(marks.is_null(), True).as_py()))
            said = " and ".join(map(repr, keys.values())) + (" is" if len(keys) == 1 else " are")
            own = [name for name in self.schema.names if name != KEYS]
            others = self.asked is not None and len(recognised(own, None, self.where, {})) > 1
            other = ", or leave `shape` out: they may be of another" if others else ""
            raise SourceError(f"{self.where}, row {row}: {said} null; remove such rows or fill them in{other}")
        return marks


def own_values(rows: pa.Table, where: str) -> pa.Table:
    """What of some rows of a source their ids are made of: its columns, in the types in which a version holds them."""
    columns = {}
    for name in rows.column_names:
        if name != KEYS:
            place = f"{where}, column {name!r}"
            columns[name] = stored(_whole(rows[name], place), place)
    return pa.table(columns) if columns else rows.select([])


def in_order_of_ids(ids: pa.Array) -> I64:
    """The places of the rows in the order of their ids, so that the order of the source decides nothing."""
    return np.asarray(pc.sort_indices(ids)).astype(np.int64)


def sample(ids: Ids, order: I64 | None, limit: int, seed: int) -> I64:
    """So many rows, a keyed sample, in their order.

    Args:
        order: of the rows, by their places in the source; None for that of the source.
    """
    places = np.arange(len(ids)) if order is None else order
    ranks = [
        Draw((seed, "limit"), row_hashes(ids.take(places[low : low + _RANKED]))).bits("rank")
        for low in range(0, len(places), _RANKED)
    ]
    return places[np.sort(np.argsort(np.concatenate(ranks))[:limit])]


def ingest_table(
    table: pa.Table,
    where: str,
    shape: str | None,
    columns: Columns,
    limit: int | None,
    seed: int,
    notice: Notice = silent,
) -> pa.Table:
    """The rows of a version, with their layout, of a table in memory.

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
    sizes = {name: table[name].nbytes for name in table.column_names}
    canonical = Canonical.of(table.schema, sizes, table, where, shape, columns)
    ids: Ids
    order = None
    if columns.id is not None:
        own = _whole(table[columns.id], where)
        ids = GivenIds(given_ids(own, where))
        order = in_order_of_ids(own)
    else:
        digests = content_digests(own_values(table, where), where)
        ids = ContentIds(np.frombuffer(digests, np.uint64).reshape(-1, 2))
    if limit is not None and limit < len(table):
        order = sample(ids, order, limit, seed)
    places = np.arange(len(table)) if order is None else order
    chosen = table if order is None else table.take(pa.array(order))
    rows = canonical.rows(chosen, ids.take(places), lambda row: int(places[row]))
    canonical.say(notice)  # not before: what is refused is one line
    return replace(canonical.layout, raw=tuple(canonical.raw(rows))).on(rows)


def count_shapes(rows: pa.Table) -> Counter[str]:
    """How many of some rows are of each shape."""
    counts = whole(rows[SHAPE]).value_counts()
    return Counter({count["values"]: count["counts"] for count in counts.to_pylist()})


def _wide(column: pa.Array) -> pa.Array:
    """The column with offsets of 64 bits for its text."""
    if is_json(column.type):
        return as_json(column.storage.cast(pa.large_string()))
    kind = widened(column.type)
    return column if column.type == kind else column.cast(kind)


def _whole(column: pa.ChunkedArray, place: str) -> pa.Array:
    """The column in one piece."""
    if column.num_chunks > 1 and column.nbytes >= WIDE:
        column = pa.chunked_array(list(map(_wide, column.chunks)))
    try:
        return whole(column)
    except pa.ArrowException as error:
        raise SourceError(f"{place}: too much text in one column ({error}); split the source") from error


def _roles(table: pa.Table) -> list[str]:
    """The first few roles, where each row seems to be one message of a conversation."""
    names = table.column_names
    name = "role" if "role" in names else "from" if {"from", "value"} <= set(names) else None
    if name is None or not pa.types.is_string(table[name].type):
        return []
    return [role for role in table[name].unique().to_pylist() if role is not None][:5]
