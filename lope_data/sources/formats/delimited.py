"""CSV and TSV. All columns are strings: a csv has no types, and a label 007 is not 7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format
from lope_data.sources.text import blocks

if TYPE_CHECKING:
    import pyarrow as pa

    from lope_data.sources.dialect import Dialect
    from lope_data.sources.part import Part, Task
    from lope_data.sources.reading import Reading

_HEAD = 1 << 20  # bytes in which the dialect is looked for
_BLOCK = 1 << 22  # bytes that become a table
_LONGEST = 1 << 28  # bytes of a record


def read_delimited(
    path: Path, reading: Reading, standard: str, broken: Callable[[int, str], None]
) -> Iterator[pa.Table]:
    """The rows of a file, some MiB at a time; at least one table, all with the same columns.

    Fields may stand in double quotes, and then hold line ends, unless the reading says otherwise. Where it says
    nothing of quotes, a file in which they may be text is not read; that may show at its end only.

    Args:
        standard: the delimiter that the file's suffix says.
        broken: is told the line of a row with more or fewer fields than there are columns, which is left out, and what
            is wrong with it.

    Raises:
        SourceError: nothing is in the file; a NUL byte; a quote that never closes, or that may be text; columns that
            may stand between several characters. Says in which line.
    """
    from lope_data.sources.dialect import find_dialect
    from lope_data.sources.records import whole_lines

    pending = _Pending(blocks(path, reading.said_encoding))
    dialect, size = None, _HEAD // 2
    while dialect is None:
        size *= 2
        pending.fill(size)
        lines = whole_lines(pending.text, final=pending.ended)
        dialect = find_dialect(path, lines, reading, standard)
        if dialect is None and (pending.ended or len(pending.text) >= _LONGEST):
            filled = next((number for number, line in enumerate(lines, 1) if line.strip()), None)
            raise SourceError(
                f"{path}: no line holds anything"
                if filled is None
                else f"{path}, line {filled}: a quote opens and never closes"
            )
    rows = _Rows(path, reading, dialect, broken)
    pending.drop(sum(map(len, lines[: dialect.start])))
    size, any_yet, done = _BLOCK, False, False
    while not done:
        pending.fill(size)
        done = pending.ended
        table, taken = rows.read(pending.text, final=done)
        pending.drop(taken)
        size = _BLOCK if taken else 2 * size
        if not done and size > _LONGEST:
            raise SourceError(
                f"{path}, line {rows.line}: a row that does not end in {_LONGEST >> 20} MiB; a quote may never close"
            )
        if len(table) or (done and not any_yet):
            any_yet = True
            yield table
    rows.check()


class _Pending:
    """Text that is not read yet."""

    def __init__(self, text: Iterator[bytes]) -> None:
        self._blocks = text
        self.text = b""
        self.ended = False

    def fill(self, size: int) -> None:
        """Holds so many bytes, unless the file ends."""
        pieces, have = [self.text], len(self.text)
        while have < size and not self.ended:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
            else:
                pieces.append(block)
                have += len(block)
        self.text = b"".join(pieces)

    def drop(self, size: int) -> None:
        self.text = self.text[size:]


class _Rows:
    """Makes tables of blocks of text, one after the other."""

    def __init__(self, path: Path, reading: Reading, dialect: Dialect, broken: Callable[[int, str], None]) -> None:
        from lope_data.sources.quotes import Quotes

        self._path, self._broken = path, broken
        self._names, self._delimiter = list(dialect.names), dialect.delimiter
        self._quoted = reading.quoting != "none"
        self._quotes = Quotes(path, dialect) if reading.quoting is None else None
        self._needed = f"where the {'header' if reading.header else 'first row'} has {len(dialect.names)}"
        if len(dialect.names) == 1 and reading.delimiter is None and dialect.delimiter != "\t":
            self._needed += "; if a line is one text, --delimiter tab"
        self.line = dialect.start + 1

    def read(self, text: bytes, *, final: bool) -> tuple[pa.Table, int]:
        """The whole records that a text begins with, and how many bytes they are."""
        import pyarrow as pa

        from lope_data.sources.records import line_ends, whole_text

        if (nul := text.find(b"\0")) >= 0:
            raise SourceError(
                f"{self._path}, line {self.line + line_ends(text[:nul])}: a NUL byte, which is no text; remove it, or "
                "name the file's --encoding"
            )
        size = whole_text(text, self._delimiter, quoted=self._quoted, final=final)
        if size is None:
            return self._carefully(text, final=final)
        whole = text[:size]
        try:
            table = self._quickly(whole) if whole else self._table([])
        except pa.ArrowInvalid:  # a record with too many or too few fields, most likely
            return self._carefully(whole, final=True)
        if self._quotes is not None and b'"' in whole:
            self._quotes.look(whole, table, self.line)
        self.line += line_ends(whole)
        return table, size

    def check(self) -> None:
        """For the end of the file. Raises SourceError: its quotes may be text."""
        if self._quotes is not None:
            self._quotes.check()

    def _quickly(self, text: bytes) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        parsing = csv.ParseOptions(
            delimiter=self._delimiter, quote_char='"' if self._quoted else False, newlines_in_values=self._quoted
        )
        types = dict.fromkeys(self._names, pa.string())
        strings = csv.ConvertOptions(strings_can_be_null=False, check_utf8=False, column_types=types)
        reading = csv.ReadOptions(block_size=len(text) + 1, column_names=self._names)
        return csv.read_csv(pa.BufferReader(text), reading, parsing, strings)

    def _carefully(self, text: bytes, *, final: bool) -> tuple[pa.Table, int]:
        """As `read`, a record at a time, with the line of what is wrong."""
        from lope_data.sources.quotes import swallowed
        from lope_data.sources.records import StrayQuoteError, records, whole_lines

        lines, done = whole_lines(text, final=final), 0
        rows: list[list[str]] = []
        strict = self._quotes is not None
        try:
            for record in records(lines, self._delimiter, quoted=self._quoted, strict=strict):
                done = record.end
                if len(record.fields) == len(self._names):
                    rows.append(record.fields)
                elif record.fields:
                    reason = f"{len(record.fields)} field{'s' * (len(record.fields) != 1)}, {self._needed}"
                    self._broken(self.line + record.begin, reason)
                if self._quotes is not None:
                    self._quotes.look_at(record, lines, self.line)
        except StrayQuoteError as error:
            begin, end = self.line + error.begin, self.line + error.end - 1
            if end > begin:
                raise swallowed(self._path, begin, end) from error
            raise SourceError(
                f"{self._path}, line {begin}: text follows a quote that closes; if quotes are text here, --quoting "
                "none; if they are not, --quoting minimal, which drops them"
            ) from error
        if final and done < len(lines):
            raise SourceError(
                f"{self._path}, line {self.line + done}: a quote opens and never closes; close it, or, if quotes are "
                "text here, --quoting none"
            )
        if self._quotes is not None:
            self._quotes.look_at_lines(lines[:done])
        self.line += done
        return self._table(rows), sum(map(len, lines[:done]))

    def _table(self, rows: list[list[str]]) -> pa.Table:
        import pyarrow as pa

        columns = zip(*rows, strict=True) if rows else ([] for _ in self._names)
        return pa.table([pa.array(column, pa.string()) for column in columns], names=self._names)


def _tasks(path: Path, reading: Reading, standard: str) -> Iterator[Task]:
    from lope_data.sources.part import BrokenRow, Part

    broken: list[BrokenRow] = []
    for table in read_delimited(path, reading, standard, lambda line, reason: broken.append(BrokenRow(reason, line))):
        part = Part(table, str(path), broken=tuple(broken))
        broken.clear()
        yield partial(_itself, part)
    if broken:  # that no table came after
        yield partial(_itself, Part(table.slice(0, 0), str(path), broken=tuple(broken)))


def _itself(part: Part) -> Part:
    return part


_TAKES = ("quoting", "delimiter", "header")
FORMATS = {
    ".csv": Format(partial(_tasks, standard=","), takes=_TAKES),
    ".tsv": Format(partial(_tasks, standard="\t"), takes=_TAKES),
}
