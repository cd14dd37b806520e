"""Rows that are JSON objects as one table: values keep their types, and what does not fit is named by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import SourceError
from lope_data.sources.columns import joined
from lope_data.sources.mixed import misfit, shown
from lope_data.sources.text import first_line


class Objects:
    """Gathers rows block by block, so that few of them are objects of Python's at any time."""

    def __init__(self, where: str) -> None:
        """`where`: the source, for messages."""
        self._where = where
        self._tables: list[pa.Table] = []
        self._firsts = [0]  # the row that each table begins with, and the next one's
        self._lines: list[Sequence[int] | None] = []

    def add(
        self, rows: list[Any], lines: Sequence[int] | None = None, again: Callable[[], list[Any]] | None = None
    ) -> None:
        """Puts rows after those that are there.

        Args:
            lines: the line of each, for messages.
            again: parses the rows anew, keeping integers of any size; used where they may have become doubles.

        Raises:
            SourceError: a row that is no object, or a column with values of several types; says which.
        """
        self._lines.append(lines)
        if not set(map(type, rows)) <= {dict}:
            number = next(i for i, row in enumerate(rows) if type(row) is not dict)
            kind = "null" if rows[number] is None else type(rows[number]).__name__
            place = self._place(len(self._tables), number)
            raise SourceError(f"{place}: {kind}, where an object is needed; remove the row or mend it")
        table = self._table(rows)
        if again is not None and any(_beyond_integers(column.chunk(0)) for column in table.columns):
            table = self._table(again())
        self._tables.append(table)
        self._firsts.append(self._firsts[-1] + len(rows))

    def table(self) -> pa.Table:
        """All rows.

        Raises:
            SourceError: a column whose type differs between blocks; says which row.
        """

        def conflict(piece: int, name: str, before: pa.DataType) -> SourceError:
            column = self._tables[piece][name]
            number = int(pc.index(column.is_valid(), True).as_py())
            return SourceError(
                f"{self._place(piece, number)}, column {name!r}: {shown(column[number].as_py())} is {column.type}, "
                f"rows before it hold {before}; make it one type"
            )

        return joined(self._tables, conflict)

    def _place(self, piece: int, number: int) -> str:
        lines = self._lines[piece]
        line = "" if lines is None else f", line {lines[number]}"
        return f"{self._where}{line}, row {self._firsts[piece] + number}"

    def _table(self, rows: list[dict[str, Any]]) -> pa.Table:
        names = _names(rows)
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise SourceError(f"{self._where}: the name {shown(name)} is not valid Unicode; rename it") from error
        if not names:
            return pa.table({"": pa.nulls(len(rows))}).select([])  # a table without columns still has rows
        return pa.table({name: self._column(rows, name) for name in names})

    def _column(self, rows: list[dict[str, Any]], name: str) -> pa.Array:
        try:
            values = list(map(itemgetter(name), rows))
        except KeyError:
            values = [row.get(name) for row in rows]
        if self._tables and name in self._tables[-1].column_names and self._tables[-1][name].type == pa.string():
            with suppress(pa.ArrowException, UnicodeError):  # knowing the type saves looking for it
                return pa.array(values, pa.string())
        try:
            return pa.array(values)
        except (pa.ArrowException, UnicodeError, OverflowError) as error:
            types = [table[name].type for table in self._tables if name in table.column_names]
            found = misfit(values, next((kind for kind in reversed(types) if not pa.types.is_null(kind)), None))
            if found is None:
                raise SourceError(f"{self._where}, column {name!r}: {first_line(error)}") from error
            raise SourceError(f"{self._place(len(self._tables), found[0])}, column {name!r}: {found[1]}") from error


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """The names in any of the rows, in the order in which they turn up."""
    if rows and all(map(rows[0].keys().__eq__, map(dict.keys, rows))):  # as in nearly every source
        return list(rows[0])
    names: dict[str, Any] = {}
    for row in rows:
        if row.keys() != names.keys():
            names |= row
    return list(names)


def _beyond_integers(column: pa.Array) -> bool:
    """Whether a double in it may have been written as an integer of more than 64 bits."""
    if pa.types.is_floating(column.type):
        return bool(pc.any(pc.greater_equal(pc.abs(column), 2.0**63)).as_py())
    if pa.types.is_list(column.type):
        return _beyond_integers(column.flatten())
    if pa.types.is_struct(column.type):
        return any(map(_beyond_integers, column.flatten()))
    return False
