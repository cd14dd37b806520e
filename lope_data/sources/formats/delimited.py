"""CSV and TSV. All columns are strings: a csv has no types, and a label 007 is not 7."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format
from lope_data.sources.text import TextFile, line_blocks

if TYPE_CHECKING:
    import pyarrow as pa

    from lope_data.sources.part import Task
    from lope_data.sources.reading import Reading

_BLOCKS = (1 << 22, 1 << 26, 1 << 30)  # bytes that Arrow reads at a time; a row must fit into two of them
_END = "\x03end of text\x03"


def read_delimited(path: Path, encoding: str, separator: str, quoting: str | None = None) -> pa.Table:
    """A file whose first line names the columns; fields may stand in double quotes, and then hold line breaks.

    Args:
        quoting: `none` where quotes are text like any other, `minimal` where they are not; None: as `minimal`, but
            where a quote may be text, since it has swallowed what looks like rows, nothing is read.

    Raises:
        SourceError: a row with more or fewer fields than the header; a quote that never closes, or that may be text.
    """
    import pyarrow as pa

    quoted = quoting != "none"
    for size in _BLOCKS:
        try:
            table = _read(path, encoding, separator, quoted, size)
            break
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and size != _BLOCKS[-1]:
                continue
            _explain(path, encoding, separator, quoted)
            raise
    if quoting is None and separator == "\t" and any(_swallows(table[name]) for name in table.column_names):
        _explain(path, encoding, separator, quoted, rows=True)
    return table


def _swallows(column: pa.ChunkedArray) -> bool:
    """Whether a text holds both tabs and line ends, as rows do."""
    import pyarrow.compute as pc

    both = pc.and_(pc.match_substring(column, "\t"), pc.match_substring(column, "\n"))
    return bool(pc.any(both).as_py())


def _read(path: Path, encoding: str, separator: str, quoted: bool, size: int) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    quote = '"' if quoted else False
    parsing = arrow_csv.ParseOptions(delimiter=separator, quote_char=quote, newlines_in_values=quoted)
    reading = arrow_csv.ReadOptions(block_size=size)
    strings = arrow_csv.ConvertOptions(strings_can_be_null=False)
    with arrow_csv.open_csv(TextFile(path, encoding), reading, parsing, strings) as head:
        names = head.schema.names
    _check_header(names, path, separator)
    strings.column_types = dict.fromkeys(names, pa.string())
    # A row of our own at the end: a quote that never closes would swallow it.
    end = "\n" + separator.join([_END] * len(names)) + "\n"
    table = arrow_csv.read_csv(TextFile(path, encoding, end.encode()), reading, parsing, strings)
    last = table.slice(max(len(table) - 1, 0)).to_pylist()
    if last != [dict.fromkeys(names, _END)]:
        _explain(path, encoding, separator, quoted)
        raise SourceError(f"{path}: a quote opens near the end and never closes")
    return table.slice(0, len(table) - 1)


def _check_header(names: list[str], path: Path, separator: str) -> None:
    """Raises SourceError where the columns seem to stand between something else."""
    other = (
        next((char for char in ";\t|," if char != separator and char in names[0]), None) if len(names) == 1 else None
    )
    if other is not None:
        raise SourceError(
            f"{path}: one column, {shown(names[0])}; its columns seem to stand between {other!r}: write them with "
            f"{separator!r} between"
        )


def _explain(path: Path, encoding: str, separator: str, quoted: bool, *, rows: bool = False) -> None:
    """Raises what is wrong with the rows, if it is something that can be named by its line.

    Args:
        rows: whether a field that holds what looks like rows is wrong.
    """
    limit = csv.field_size_limit(2**31 - 1)
    lines = _lines(path, encoding)
    try:
        found = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        header: list[str] = []
        line = 1
        for row in found:
            if row == [_END]:
                return
            unclosed = bool(row) and row[-1].endswith(_END)
            header = header or row
            _check_header(header, path, separator)
            if row and len(row) != len(header):
                fields = f"{len(row)} field{'s' * (len(row) != 1)}, where the header has {len(header)}"
                raise SourceError(f"{path}, line {line}: {fields}{'; a quote never closes' * unclosed}")
            if unclosed:
                raise SourceError(f"{path}, line {line}: a quote opens and never closes")
            if rows and any(separator in field and "\n" in field for field in row):
                raise SourceError(
                    f"{path}, line {line}: a quote opens, and the field runs to line {found.line_num} over what looks "
                    "like rows; if quotes are text here, --quoting none; if it is one text, --quoting minimal"
                )
            line = found.line_num + 1
    except csv.Error as error:
        raise SourceError(f"{path}, line {line}: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines with their ends, and one of our own after them."""
    for _, lines in line_blocks(path, encoding):
        for line in lines:
            yield line.decode() + "\n"
    yield _END


def _reader(separator: str) -> Format:
    def read(path: Path, reading: Reading) -> Iterator[Task]:
        from lope_data.sources.formats.arrow import table_tasks

        table = read_delimited(path, reading.encoding, separator, reading.quoting)
        yield from table_tasks([table], str(path))

    return Format(read, quoted=True)


FORMATS = {".csv": _reader(","), ".tsv": _reader("\t")}
