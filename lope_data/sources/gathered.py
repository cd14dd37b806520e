"""The rows of a source, part after part: read once, in several threads, and then again as often as needed.

What differs from part to part, types and keys, is only known at the end, so no part is made what it will be before
that. What stays in memory is a few bytes a row: the rows themselves are read again, or kept on the disk.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa

from lope_common.errors import shown
from lope_common.progress import Progress, silent
from lope_common.threads import run_tasks
from lope_data.errors import SourceError
from lope_data.rows.json_type import is_json
from lope_data.rows.layout import ABSENT
from lope_data.rows.shapes import KEYS
from lope_data.sources.columns import common_schema, conflict, conformed
from lope_data.sources.exact import as_type, known, merged
from lope_data.sources.keys import PartKeys, RowKeys, column
from lope_data.sources.part import BrokenRow, Part, Task
from lope_data.sources.spool import Spool
from lope_data.sources.text import changed
from lope_data.text.draws import I64, U64

_LAST = 4  # parts that are kept
_AS_TEXT = 4  # bytes of JSON, at most, of a byte in types of Arrow's


@dataclass(frozen=True)
class Reader:
    """How parts are read.

    Attributes:
        where: the source, for messages.
        spool: keeps what would cost more to read again; None where it is kept in memory.
        workers: threads.
        skip: how many broken rows may be left out.
        digest: what is kept of each row beside it, 16 bytes each.
        at_random: whether rows will be taken in any order, so that all are kept where that costs little.
        progress: called with how many rows are read.
    """

    where: str
    spool: Spool | None = None
    workers: int = 1
    skip: int = 0
    digest: Callable[[pa.Table], bytes] | None = None
    at_random: bool = False
    progress: Progress = silent


@dataclass(frozen=True)
class _Kept:
    """A part that was read: how many rows, which keys they have, and how it is read again."""

    where: str
    rows: int
    schema: pa.Schema
    keys: PartKeys | None
    again: Callable[[], pa.Table]

    def load(self) -> pa.Table:
        """The rows. Raises SourceError: they are not those that were there."""
        table = self.again()
        if len(table) != self.rows or not table.schema.equals(self.schema):
            raise changed(self.where)
        return table


class Gathered:
    """All rows of a source.

    Attributes:
        schema: of the rows. Its metadata is the source's, or says where null means that a row has no such key; where
            that is not enough, the column `lope_keys` says which keys each row has.
        sizes: the bytes of each column.
        skipped: the rows that were left out, with their numbers among all rows.
        digests: what was kept of each row, shape (rows, 2); empty where nothing was.
    """

    def __init__(self, parts: Sequence[_Kept], schema: pa.Schema, sizes: Mapping[str, int], digests: U64) -> None:
        self._parts = parts
        self._starts = np.concatenate(([0], np.cumsum([part.rows for part in parts], dtype=np.int64)))
        self.schema, self.sizes, self.digests = schema, sizes, digests
        self.skipped: Sequence[BrokenRow] = ()
        self._last: dict[int, pa.Table] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def tables(self, low: int, high: int, size: int) -> Iterator[pa.Table]:
        """Rows low to high, so many at a time, but for the first: all others begin at a multiple of that."""
        held: list[pa.Table] = []
        missing = size - low % size
        first = int(np.searchsorted(self._starts, low, "right")) - 1
        for number in range(first, len(self._parts)):
            start = int(self._starts[number])
            if start >= high:
                break
            table = self._table(number)
            table = table.slice(max(low - start, 0), min(high, start + len(table)) - max(low, start))
            while len(table):
                held.append(table.slice(0, missing))
                table = table.slice(missing)
                missing -= len(held[-1])
                if not missing:
                    yield pa.concat_tables(held).combine_chunks()
                    held, missing = [], size
        if held:
            yield pa.concat_tables(held).combine_chunks()

    def take(self, places: I64) -> pa.Table:
        """The rows with these numbers, in their order."""
        part = np.searchsorted(self._starts, places, "right") - 1
        order = np.argsort(part, kind="stable")
        numbers, first = np.unique(part[order], return_index=True)
        pieces = [
            self._table(int(number)).take(pa.array(places[chosen] - self._starts[number]))
            for number, chosen in zip(numbers, np.split(order, first[1:]), strict=True)
        ]
        back = np.empty(len(places), np.int64)
        back[order] = np.arange(len(places))
        return pa.concat_tables(pieces).combine_chunks().take(pa.array(back))

    def table(self) -> pa.Table:
        """All of them."""
        if not len(self):
            return self.schema.empty_table()
        tables = [self._table(number) for number in range(len(self._parts))]
        return pa.concat_tables(tables)

    def tasks(self, where: str) -> Iterator[Task]:
        """What reads all of them once more, as part of another reading."""
        for part in self._parts:
            yield partial(_part_again, part, where)

    def _table(self, number: int) -> pa.Table:
        """A part, as all parts are. The last ones are kept: the next rows that somebody wants may be in them."""
        with self._lock:
            found = self._last.get(number)
        if found is None:
            found = self._made(number)
            with self._lock:
                self._last[number] = found
                while len(self._last) > _LAST:
                    self._last.pop(next(iter(self._last)), None)
        return found

    def _made(self, number: int) -> pa.Table:
        part = self._parts[number]
        table = part.load()
        if part.keys is None:
            return conformed(table, self.schema)
        columns = {field.name: _as(table, field) for field in self.schema if field.name != KEYS}
        if KEYS in self.schema.names:
            columns[KEYS] = column(part.keys)
        rows = pa.table(columns) if columns else table
        return rows.replace_schema_metadata(self.schema.metadata)


def gather(tasks: Iterable[Task], reader: Reader) -> Gathered:
    """Reads all parts.

    Raises:
        SourceError: a part cannot be read, or does not fit those before it.
        OSError: the disk is full.
    """

    def read(task: Task) -> tuple[Part, bytes]:
        part = task()
        digests = b"" if reader.digest is None or not len(part.table) else reader.digest(part.table)
        if part.again is None or (reader.at_random and reader.spool is not None):
            again = partial(_itself, part.table) if reader.spool is None else reader.spool.keep(part.table)
            part = replace(part, again=again)
        return part, digests

    kept: list[_Kept] = []
    skipped: list[BrokenRow] = []
    held: list[bytes] = []
    found: _Objects | _Tables | None = None
    sizes: Counter[str] = Counter()
    rows, begun, file = 0, 0, ""
    for part, digests in run_tasks(read, tasks, reader.workers):
        if part.where != file:
            file, begun = part.where, rows + len(skipped)
        before = rows + len(skipped) - begun  # in the same file
        for broken in part.broken:
            place = None if broken.row is None else before + broken.row
            there = replace(broken, row=place)
            if len(skipped) == reader.skip:
                others = f"; {len(skipped)} before it were skipped already" if skipped else ""
                todo = "" if reader.skip else "; --skip-broken N leaves out up to N such rows"
                raise SourceError(f"{part.where}, {there.place}: {broken.reason}{others}{todo}")
            skipped.append(replace(there, file=None if part.where == reader.where else Path(part.where).name))
        if part.keys is not None and not len(part.table):
            continue
        if found is None:
            found = _Tables() if part.keys is None else _Objects()
        found.add(part)
        if not len(part.table):
            continue
        sizes.update({name: part.table[name].nbytes for name in part.table.column_names})
        if reader.spool is None:
            held.append(digests)
        else:
            reader.spool.add_digests(digests)
        assert part.again is not None
        kept.append(_Kept(part.where, len(part.table), part.table.schema, part.keys, part.again))
        rows += len(part.table)
        reader.progress(f"read {reader.where}", rows, 0)
    schema = pa.schema([]) if found is None else found.schema()
    for field in schema:
        if is_json(field.type):
            sizes[field.name] *= _AS_TEXT
    if reader.spool is None:
        of_rows: U64 = np.frombuffer(b"".join(held), np.uint64).reshape(-1, 2)
    else:
        of_rows = reader.spool.digests()
    gathered = Gathered(kept, schema, sizes, of_rows)
    gathered.skipped = skipped
    return gathered


def _part_again(part: _Kept, where: str) -> Part:
    return Part(part.load(), where, part.keys, part.load)


def _itself(table: pa.Table) -> pa.Table:
    return table


class _Objects:
    """What parts of JSON objects have in common."""

    def __init__(self) -> None:
        self._keys = RowKeys()
        self._types: dict[str, pa.DataType | None] = {}

    def add(self, part: Part) -> None:
        assert part.keys is not None
        self._keys.add(part.keys)
        for field in part.table.schema:
            kind = None if is_json(field.type) else field.type
            self._types[field.name] = merged(self._types.get(field.name, pa.null()), kind)

    def schema(self) -> pa.Schema:
        names, absent, mixed = self._keys.finish()
        kinds = {name: self._types[name] for name in names}
        fields = [pa.field(name, pa.json_() if kind is None else known(kind)) for name, kind in kinds.items()]
        if mixed:
            fields.append(pa.field(KEYS, pa.list_(pa.string())))
        return pa.schema(fields, {ABSENT: json.dumps(absent).encode()})


class _Tables:
    """What parts that are tables have in common: a common type for each column."""

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None
        self._where = ""

    def add(self, part: Part) -> None:
        schema = part.table.schema
        if self._schema is None:
            self._schema, self._where = schema, part.where
            return
        if self._schema.equals(schema):
            return
        if set(schema.names) != set(self._schema.names):  # of files of text; those with types are made one before
            mine, theirs = ", ".join(map(shown, schema.names)), ", ".join(map(shown, self._schema.names))
            raise SourceError(
                f"{part.where}: has the columns {mine}, where {self._where} has {theirs}; make them the same, or read "
                "the files one by one"
            )
        self._schema = common_schema([self._schema, schema], partial(conflict, [self._where, part.where], [schema] * 2))

    def schema(self) -> pa.Schema:
        assert self._schema is not None
        own = self._schema.metadata or {}  # of which only our reader of JSON may say what is absent
        return self._schema.with_metadata({key: value for key, value in own.items() if key != ABSENT})


def _as(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    """A column of a part, in the type of all parts."""
    if table.schema.get_field_index(field.name) < 0:
        return pa.chunked_array([pa.nulls(len(table), field.type)])
    found = table[field.name]
    if found.type == field.type:
        return found
    return pa.chunked_array([as_type(chunk, field.type) for chunk in found.chunks], field.type)
