"""JSON objects as rows of a table: every value as it was written, in a type of Arrow's or else as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.json_type import DEEPEST, is_json, json_column, json_texts, rows_too_deep
from lope_data.rows.shapes import KEYS
from lope_data.sources.exact import exact_type
from lope_data.sources.keys import PartKeys
from lope_data.sources.part import BrokenRow, Part, Task

_LARGE = r"[0-9]{16}|e\+"  # in a text that Python writes: a double beyond 2**63 has one of these
_ROWS = 20_000  # of a list that make a part


def list_tasks(rows: Sequence[Any], where: str, again: Callable[[], Sequence[Any]] | None = None) -> Iterator[Task]:
    """Those that read rows which are in memory.

    Args:
        again: as for `object_part`, all of them.
    """
    for low in range(0, len(rows), _ROWS):
        exact = None if again is None else partial(_slice, again, low)
        yield partial(object_part, rows[low : low + _ROWS], where, exact)


def _slice(rows: Callable[[], Sequence[Any]], low: int) -> Sequence[Any]:
    return rows()[low : low + _ROWS]


def object_part(
    rows: Sequence[Any],
    where: str,
    again: Callable[[], Sequence[Any]] | None = None,
    lines: Sequence[int] | None = None,
    broken: Sequence[BrokenRow] = (),
    numbers: Sequence[int] | None = None,
) -> Part:
    """Rows as a part.

    Args:
        rows: objects; others are broken ones.
        where: the source, for messages.
        again: parses the rows again, keeping integers of any size; used where they may have become doubles.
        lines: the line of each, for messages.
        broken: rows beside them that could not even be parsed.
        numbers: of each in the part, where some were left out.

    Raises:
        SourceError: a row that is nested too deeply, or a name that is no Unicode; says which.
    """
    numbers = range(len(rows)) if numbers is None else numbers
    if not set(map(type, rows)) <= {dict}:
        others = {number: _no_object(row) for number, row in enumerate(rows) if type(row) is not dict}
        return _without(others, rows, where, again, lines, broken, numbers)
    keys = list(map(tuple, rows))
    names = list(dict.fromkeys(name for one in dict.fromkeys(keys) for name in one))
    check_names(names, where)
    try:
        columns = {name: _column(rows, name) for name in names}
        if again is not None and any(_beyond_integers(column) for column in columns.values()):
            rows = again()
            columns = {name: _column(rows, name) for name in names}
    except RecursionError as error:
        raise SourceError(f"{where}: a row is nested more than {DEEPEST} deep; drop or flatten it") from error
    if deep := {
        row: f"column {name!r} is nested more than {DEEPEST} deep; drop or flatten it"
        for name, column in columns.items()
        if is_json(column.type)
        for row in rows_too_deep(json_texts(column))
    }:
        return _without(deep, rows, where, again, lines, broken, numbers)
    return Part(_table(columns, len(rows)), where, PartKeys.of(keys, columns), broken=broken)


def _without(
    reasons: Mapping[int, str],
    rows: Sequence[Any],
    where: str,
    again: Callable[[], Sequence[Any]] | None,
    lines: Sequence[int] | None,
    broken: Sequence[BrokenRow],
    numbers: Sequence[int],
) -> Part:
    """The part without some rows, for these reasons."""
    kept = [number for number in range(len(rows)) if number not in reasons]
    more = [
        BrokenRow(why, row=numbers[row]) if lines is None else BrokenRow(why, line=lines[row])
        for row, why in reasons.items()
    ]
    return object_part(
        [rows[i] for i in kept],
        where,
        None if again is None else partial(_chosen, again, kept),
        None if lines is None else [lines[i] for i in kept],
        sorted([*broken, *more], key=lambda one: (one.line or 0, one.row or 0)),
        [numbers[i] for i in kept],
    )


def check_names(names: Sequence[str], where: str) -> None:
    """Raises SourceError: a key that a version cannot have as a column."""
    for name in names:
        if name == KEYS:
            raise SourceError(f"{where}: column {name!r} has a name that versions use; rename it in the source")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise SourceError(f"{where}: the name {shown(name)} is not valid Unicode; rename it") from error


def _no_object(row: Any) -> str:
    kind = "null" if row is None else type(row).__name__
    return f"{kind}, where an object is needed; remove the row or fix it"


def _chosen(rows: Callable[[], Sequence[Any]], kept: Sequence[int]) -> Sequence[Any]:
    found = rows()
    return [found[i] for i in kept]


def _table(columns: Mapping[str, pa.Array], rows: int) -> pa.Table:
    return pa.table(columns) if columns else pa.table({"": pa.nulls(rows)}).select([])


def _column(rows: Sequence[dict[str, Any]], name: str) -> pa.Array:
    try:
        values = list(map(itemgetter(name), rows))
    except KeyError:
        values = [row.get(name) for row in rows]
    kind = exact_type(values)
    if kind is not None:
        with suppress(pa.ArrowException, UnicodeError):  # half a surrogate pair, which only an escape can hold
            return pa.array(values, kind)
    return json_column(values)


def _beyond_integers(column: pa.Array) -> bool:
    """Whether a double in it may have been written as an integer of more than 64 bits."""
    if is_json(column.type):
        return bool(pc.any(pc.match_substring_regex(json_texts(column), _LARGE)).as_py())
    if pa.types.is_floating(column.type):
        return bool(pc.any(pc.greater_equal(pc.abs(column), 2.0**63)).as_py())
    if pa.types.is_list(column.type):
        return _beyond_integers(column.flatten())
    if pa.types.is_struct(column.type):
        return any(map(_beyond_integers, column.flatten()))
    return False
