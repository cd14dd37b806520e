"""Whether the quotes of a delimited file may be text, since every line makes a row then too."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import SourceError
from lope_data.sources.dialect import Dialect
from lope_data.sources.records import Record, records, whole_lines

_LINE_END = re.compile(r"[\r\n]")


class Quotes:
    """Looks at records whose quotes hold line ends, block by block."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self._delimiter, self._names = path, dialect.delimiter, dialect.names
        # Whether all lines have as many fields as there are columns, and the first record whose lines are like rows.
        self._all_rows = len(dialect.names) > 1
        self._swallowed: tuple[int, int] | None = None

    def look(self, text: bytes, table: pa.Table, first: int) -> None:
        """Looks at whole records.

        Args:
            table: their rows.
            first: the number of the text's first line.

        Raises:
            SourceError: a field of a file of tabs holds what looks like rows.
        """
        searched = self._all_rows and self._swallowed is None
        if not searched and not (self._delimiter == "\t" and any(map(_holds_rows, table.columns))):
            return
        lines = whole_lines(text, final=True)
        if len(table) < len(lines):
            for record in records(lines, self._delimiter, quoted=True):
                self.look_at(record, lines, first)
        self.look_at_lines(lines)

    def look_at(self, record: Record, lines: list[bytes], first: int) -> None:
        """Looks at one of the records of some lines, as `look`."""
        if record.end == record.begin + 1:
            return
        begin, end = first + record.begin, first + record.end - 1
        if self._delimiter == "\t" and any("\t" in field and _LINE_END.search(field) for field in record.fields):
            raise swallowed(self._path, begin, end)
        if self._swallowed is None and all(map(self._is_like_a_row, lines[record.begin : record.end])):
            self._swallowed = begin, end

    def look_at_lines(self, lines: list[bytes]) -> None:
        """Looks at the lines of whole records."""
        delimiter, wanted = self._delimiter.encode(), len(self._names) - 1
        if self._all_rows:
            self._all_rows = all(line.count(delimiter) == wanted for line in lines if line.strip())

    def check(self) -> None:
        """For the end of the file. Raises SourceError: its quotes may be text."""
        if self._all_rows and self._swallowed is not None:
            raise swallowed(self._path, *self._swallowed)

    def _is_like_a_row(self, line: bytes) -> bool:
        """Whether a line makes a row if quotes are text; a text has a space after its commas, and doubles quotes."""
        fields = line.rstrip(b"\r\n").decode().split(self._delimiter)
        spaced = any(name.startswith(" ") for name in self._names)
        return len(fields) == len(self._names) and not any(
            not field or '""' in field or (field.startswith(" ") and not spaced) for field in fields
        )


def swallowed(path: Path, begin: int, end: int) -> SourceError:
    """That a field holds what may be rows."""
    return SourceError(
        f"{path}, line {begin}: a quote opens, and the field runs to line {end} over what looks like rows; if quotes "
        "are text here, --quoting none; if it is one text, --quoting minimal"
    )


def _holds_rows(column: pa.ChunkedArray) -> bool:
    """Whether a text holds both tabs and line ends, as rows do."""
    both = pc.and_(pc.match_substring(column, "\t"), pc.match_substring_regex(column, _LINE_END.pattern))
    return bool(pc.any(both).as_py())
