"""Rows that are JSON objects as one table: every value as it was written, in a type of Arrow's or else as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.json_type import DEEPEST, is_json, json_column, json_texts
from lope_data.rows.layout import ABSENT
from lope_data.rows.shapes import KEYS
from lope_data.sources.exact import as_type, exact_type, known, merged
from lope_data.sources.keys import RowKeys

_LARGE = r"[0-9]{16}|e\+"  # in a text that Python writes: a double beyond 2**63 has one of these


class Objects:
    """Gathers rows block by block, so that few of them are objects of Python's at any time."""

    def __init__(self) -> None:
        self._keys = RowKeys()
        self._blocks: list[tuple[int, dict[str, pa.Array]]] = []
        self._types: dict[str, pa.DataType | None] = {}
        self._rows = 0

    def add(
        self,
        rows: list[Any],
        where: str,
        lines: Sequence[int] | None = None,
        again: Callable[[], list[Any]] | None = None,
        first: int = 0,
    ) -> None:
        """Puts rows after those that are there.

        Args:
            where: the source, for messages.
            lines: the line of each, for messages.
            again: parses the rows again, keeping integers of any size; used where they may have become doubles.
            first: the number of the first in its file, for messages.

        Raises:
            SourceError: a row that is no object or is nested too deeply, or a name that is no Unicode; says which.
        """
        if not rows:
            return
        if not set(map(type, rows)) <= {dict}:
            number = next(i for i, row in enumerate(rows) if type(row) is not dict)
            kind = "null" if rows[number] is None else type(rows[number]).__name__
            line = "" if lines is None else f", line {lines[number]}"
            raise SourceError(
                f"{where}{line}, row {first + number}: {kind}, where an object is needed; remove the row or mend it"
            )
        names = self._keys.add(list(map(tuple, rows)))
        for name in names:
            if name == KEYS:
                raise SourceError(f"{where}: column {name!r} has a name that versions use; rename it in the source")
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise SourceError(f"{where}: the name {shown(name)} is not valid Unicode; rename it") from error
        try:
            block = self._block(rows, names)
            if again is not None and any(_beyond_integers(column) for column in block.values()):
                block = self._block(again(), names)
        except RecursionError as error:
            raise SourceError(f"{where}: a row is nested more than {DEEPEST} deep; drop or flatten it") from error
        for name, column in block.items():
            self._keys.values(name, len(column) - column.null_count)
        self._blocks.append((len(rows), block))
        self._rows += len(rows)

    def table(self) -> pa.Table:
        """All rows. Its metadata says where null means that a row has no such key; where that is not enough, the column
        `lope_keys` says which keys each row has.
        """
        if not self._rows:
            return pa.table({})
        names, absent, keys = self._keys.finish()
        columns = {name: self._joined(name) for name in names}
        table = pa.table(columns) if columns else pa.table({"": pa.nulls(self._rows)}).select([])
        if keys is not None:
            table = table.append_column(KEYS, keys)
        return table.replace_schema_metadata({ABSENT: json.dumps(absent).encode()})

    def _block(self, rows: list[dict[str, Any]], names: Sequence[str]) -> dict[str, pa.Array]:
        return {name: self._column(rows, name) for name in names}

    def _column(self, rows: list[dict[str, Any]], name: str) -> pa.Array:
        try:
            values = list(map(itemgetter(name), rows))
        except KeyError:
            values = [row.get(name) for row in rows]
        before = self._types.get(name, pa.null())
        if before == pa.string():
            with suppress(pa.ArrowException, UnicodeError):  # knowing the type saves looking for it
                return pa.array(values, pa.string())
        kind = exact_type(values)
        self._types[name] = merged(before, kind)
        if kind is not None:
            with suppress(pa.ArrowException, UnicodeError):  # half a surrogate pair, which only an escape can hold
                return pa.array(values, kind)
            self._types[name] = None
        return json_column(values)

    def _joined(self, name: str) -> pa.ChunkedArray:
        kind = self._types[name]
        wanted = pa.json_() if kind is None else known(kind)
        chunks = [
            as_type(block[name], wanted) if name in block else pa.nulls(count, wanted) for count, block in self._blocks
        ]
        return pa.chunked_array(chunks, wanted)


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
