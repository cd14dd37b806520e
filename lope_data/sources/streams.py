"""Rows that can be read only once, or differ each time: they are put on the disk as they come, and read from there."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.rows.json_type import json_column
from lope_data.sources.exact import as_type, exact_type, known, merged
from lope_data.sources.plain import plain_rows
from lope_data.sources.text import first_line

if TYPE_CHECKING:
    import datasets

ROWS = 1 << 14
"""Of a block."""
Blocks = Callable[[], Iterator[pa.Table]]
"""Gives all rows each time it is called, as tables of one schema; one table at least, so that the schema is known."""


def kept(stream: Iterator[pa.Table], where: str) -> Blocks:
    """The blocks of a stream, which is read now, from a file that lives as long as they may be asked for.

    Args:
        stream: tables of one schema, one at least.

    Raises:
        SourceError: the stream cannot be read, or the disk cannot hold it.
    """
    file = _File()
    with _reading(where), pa.OSFile(str(file.path), "wb") as sink:
        first = next(stream)
        with pa.ipc.new_stream(sink, first.schema) as writer:
            writer.write_table(first)
            for block in stream:
                writer.write_table(block.combine_chunks())  # of rows that were gathered each may be a chunk
    return file.blocks


def of_reader(reader: pa.RecordBatchReader, where: str) -> Iterator[pa.Table]:
    """The rows that a reader has not given yet."""
    yield reader.schema.empty_table()
    with _reading(where):
        for batch in reader:
            yield pa.Table.from_batches([batch])


def of_iterable(dataset: datasets.IterableDataset, where: str) -> Iterator[pa.Table]:
    """The rows of a `datasets.IterableDataset`: as its features have them, or else as JSON would.

    Without features nothing says which types the rows to come have. So all are read before the first block is given.
    A key that only some of the rows have is null in the others, as it is in every dataset of `datasets`.

    Raises:
        SourceError: it cannot be read, or a value is not of the features' types and none of JSON's.
    """
    if dataset.features is None:
        yield from _untyped(dataset.with_format(None), where)
        return
    schema = dataset.features.arrow_schema
    yield schema.empty_table()
    with _reading(where):
        for block in dataset.with_format("arrow").iter(ROWS):
            yield block.cast(schema)


class _File:
    """A file of Arrow tables in a folder of its own, both of which are removed when nothing holds this any more."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="lope-")
        self.path = Path(folder) / "rows.arrow"
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def blocks(self) -> Iterator[pa.Table]:
        """The tables, memory-mapped."""
        with pa.memory_map(str(self.path)) as file:
            while file.tell() < file.size():
                with pa.ipc.open_stream(file) as reader:
                    yield reader.schema.empty_table()
                    for batch in reader:
                        yield pa.Table.from_batches([batch])


def _untyped(rows: Iterable[Any], where: str) -> Iterator[pa.Table]:
    types: dict[str, pa.DataType | None] = {}
    file = _File()
    with _reading(where), pa.OSFile(str(file.path), "wb") as sink:
        for first, block in _numbered(rows):
            columns = pa.table(_columns(plain_rows(block, where, first), types))
            if len(columns) != len(block):
                raise SourceError(f"{where}, row {first}: has no keys; remove it")
            with pa.ipc.new_stream(sink, columns.schema) as writer:  # streams in turn, since schemas may differ
                writer.write_table(columns)
    wanted = {name: pa.json_() if kind is None else known(kind) for name, kind in types.items()}
    yield pa.schema(wanted.items()).empty_table()
    for part in file.blocks():
        yield pa.table({name: _column(part, name, kind) for name, kind in wanted.items()})


def _numbered(rows: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Blocks of rows, and the number of the first of each."""
    left, first = iter(rows), 0
    while block := list(islice(left, ROWS)):
        yield first, block
        first += len(block)


def _columns(rows: list[dict[str, Any]], types: dict[str, pa.DataType | None]) -> dict[str, pa.Array]:
    """The columns of a block, each in a type that holds it exactly; notes in `types` what all so far come to."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        kind = exact_type(values)
        if kind is not None:
            with suppress(pa.ArrowException, UnicodeError):  # half a surrogate pair, which only JSON can hold
                found[name] = pa.array(values, kind)
        if name not in found:
            kind, found[name] = None, json_column(values)
        types[name] = merged(types.get(name, pa.null()), kind)
    return found


def _column(part: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    if name not in part.column_names:
        return pa.nulls(len(part), kind)
    return as_type(part[name].combine_chunks(), kind)


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Says in one line what a reader raises: whatever the code that makes the rows does."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{where}: cannot be read ({first_line(error)})") from error
