"""Parquet and Arrow files, checked whole: their offsets and text may say anything, and are trusted afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format

if TYPE_CHECKING:
    import pyarrow as pa

    from lope_data.sources.part import BrokenRow, Part, Task
    from lope_data.sources.reading import Reading

_END = b"\xff\xff\xff\xff\0\0\0\0"
_SIZE = 1 << 22  # bytes of a part, as a rule
_BUFFER = 1 << 20  # bytes of a column that are read at a time, where it is read in pieces
_MANY = 1 << 16  # rows of one, likewise
_LARGE = 1 << 25  # bytes of a group of rows that is read in pieces: some writers make one of all rows


def read_parquet(path: Path, _: Reading) -> Iterator[Task]:
    """The rows of a Parquet file, by its groups of rows; the folders it lies in say nothing about them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
        groups: list[int] = []
        size = 0
        for number in range(file.num_row_groups):
            found = file.metadata.row_group(number)
            if groups and size + found.total_byte_size > _SIZE:
                yield partial(_groups, path, groups)
                groups, size = [], 0
            if found.total_byte_size > _LARGE or found.num_rows > _MANY:  # bytes may stand for many times as many
                rows = max(min(found.num_rows * _SIZE // max(found.total_byte_size, 1), _MANY // 4), 1)
                for batch in file.iter_batches(rows, row_groups=[number]):
                    yield partial(_part, batch, path)
                continue
            groups.append(number)
            size += found.total_byte_size
        if groups:
            yield partial(_groups, path, groups)
        if not file.metadata.num_rows:
            yield partial(_groups, path, [])


def _groups(path: Path, groups: list[int]) -> Part:
    from lope_data.sources.part import Part

    table, broken = checked(_read_groups(path, groups), path)

    def again() -> pa.Table:
        return checked(_read_groups(path, groups), path)[0]

    return Part(table, str(path), again=again, broken=broken)


def _read_groups(path: Path, groups: list[int]) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read_row_groups(groups, use_threads=False)


def read_arrow(path: Path, _: Reading) -> Iterator[Task]:
    """The rows of an Arrow file, in either of the two formats."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:  # a map of it would end the process if the file became shorter
        try:
            found = pa.ipc.open_file(file)
            batches: Iterable[pa.RecordBatch] = map(found.get_batch, range(found.num_record_batches))
        except pa.ArrowInvalid:
            file.seek(0)
            pa.ipc.open_stream(file)  # which says what else is wrong
            _check_end(file, path)
            batches = pa.ipc.open_stream(file)
        yield from table_tasks(batches, str(path))


def _check_end(file: pa.NativeFile, path: Path) -> None:
    """Raises SourceError: a stream of Arrow's does not end with the mark that its writers put there. Without it the
    batches that are there would be taken for all. Leaves the file at its begin.
    """
    size = file.size()
    file.seek(max(size - len(_END), 0))
    if file.read() != _END:
        raise SourceError(f"{path}: cut short, since it has no end; write it again")
    file.seek(0)


def table_tasks(batches: Iterable[pa.RecordBatch | pa.Table], where: str) -> Iterator[Task]:
    """Those that check some rows and make parts of them, small ones together.

    Args:
        where: they come from, for messages.
    """
    import pyarrow as pa

    held: list[pa.Table] = []
    size = 0
    for batch in batches:
        table = pa.table(batch) if isinstance(batch, pa.RecordBatch) else batch
        held.append(table)
        size += table.nbytes
        if size >= _SIZE:
            yield partial(_part, pa.concat_tables(held), where)
            held, size = [], 0
    if held:
        yield partial(_part, pa.concat_tables(held), where)


def _part(rows: pa.Table | pa.RecordBatch, where: Path | str) -> Part:
    import pyarrow as pa

    from lope_data.sources.part import Part

    table, broken = checked(rows if isinstance(rows, pa.Table) else pa.table(rows), where)
    return Part(table, str(where), broken=broken)


def checked(table: pa.Table, where: Path | str) -> tuple[pa.Table, list[BrokenRow]]:
    """The table without rows whose JSON is broken, and these.

    Raises:
        SourceError: it is damaged.
    """
    import pyarrow as pa

    try:
        fields = list(table.schema)
        while fields:  # names are read here, since they may be no text
            field = fields.pop()
            assert field.name is not None
            fields += [field.type.field(i) for i in range(field.type.num_fields)]
        table.validate(full=True)
        table = _decoded(table)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SourceError(f"{where}: damaged ({error}); write it again") from error
    if twice := [name for name, count in Counter(table.column_names).items() if count > 1]:
        raise SourceError(f"{where}: has two columns {twice[0]!r}; rename one")
    broken: dict[int, str] = {}
    for name in table.column_names:
        if isinstance(table[name].type, pa.JsonType):
            broken = _broken_json(table[name], name) | broken
    if not broken:
        return table, []
    from lope_data.sources.part import BrokenRow

    kept = pa.array(sorted(set(range(len(table))) - broken.keys()), pa.int64())
    return table.take(kept), [BrokenRow(broken[row], row=row) for row in sorted(broken)]


def _decoded(table: pa.Table) -> pa.Table:
    """The table with the values of columns that have a dictionary: each part would have another."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table[number].cast(field.type.value_type))
    return table


def _broken_json(column: pa.ChunkedArray, name: str) -> dict[int, str]:
    """The rows whose text is no JSON or nested too deeply, and why."""
    from lope_data.rows.json_type import DEEPEST, read_quickly, rows_too_deep, storage

    broken = {}
    for row, text in enumerate(column.to_pylist()):
        try:
            if text is not None:
                read_quickly(text)
        except ValueError as error:
            broken[row] = f"column {name!r} is not valid JSON ({error}); write it again"
        except RecursionError:
            continue  # as below
    deep = f"column {name!r} is nested more than {DEEPEST} deep; drop or flatten it"
    return dict.fromkeys(rows_too_deep(storage(column)), deep) | broken


def _parquet_schema(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    return pq.read_schema(path)


def _arrow_schema(path: Path) -> pa.Schema:
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        try:
            return pa.ipc.open_file(file).schema
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).schema


FORMATS = {
    ".parquet": Format(read_parquet, _parquet_schema, text=False),
    ".arrow": Format(read_arrow, _arrow_schema, text=False),
}
