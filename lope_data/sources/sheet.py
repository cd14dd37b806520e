"""The cells of a sheet of an Excel workbook, row by row, and the table that they are."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.cell.read_only import EMPTY_CELL
from openpyxl.styles.numbers import is_datetime
from openpyxl.utils import get_column_letter

from lope_common.errors import suggest
from lope_data.errors import SourceError
from lope_data.sources.text import first_line

_OLD = bytes.fromhex("d0cf11e0")  # how an .xls file begins, and one with a password
_MOST_ROWS = 1_048_576
_LARGE, _DENSE = 1 << 28, 200  # bytes unpacked, and how many times what is packed

Row = tuple[int, list[Any]]
"""The number of a row in its sheet, from 1, and its values from column A on."""


def sheet_rows(path: Path, wanted: str | None) -> Iterator[Row]:
    """The rows of a sheet that hold a value.

    Args:
        wanted: the sheet's name; None: the only one that holds something.

    Raises:
        SourceError: there is no such sheet, or it cannot be read; says which cell is wrong.
    """
    _check_archive(path)
    rows = _rows(path, wanted)
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of styles and other things that are no values
                row = next(rows, None)
        except (SourceError, OSError, MemoryError):
            raise
        except Exception as error:  # whatever openpyxl makes of a file that is no sound workbook
            raise SourceError(f"{path}: damaged ({first_line(error)}); save it again") from error
        if row is None:
            return
        yield row


def table_of(rows: Iterator[Row], path: Path, *, header: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with the names of their columns: those of the first row, or column_0, column_1 and so on.

    Raises:
        SourceError: nothing is there; two columns have one name; a value stands in a column without one.
    """
    first = next(rows, None)
    if first is None:
        raise SourceError(f"{path}: no cell holds anything")
    number, values = first
    if header:
        names = {i: str(value) for i, value in enumerate(values) if value is not None}
    else:
        names = {i: f"column_{i}" for i in range(len(values))}
        yield number, {name: values[i] for i, name in names.items()}
    if twice := [name for name, count in Counter(names.values()).items() if count > 1]:
        raise SourceError(
            f"{path}: has two columns {twice[0]!r}; rename one; if row {number} is no header, --no-header"
        )
    for number, values in rows:
        for i, value in enumerate(values):
            if value is not None and i not in names:
                raise SourceError(
                    f"{path}, cell {_cell(i, number)}: a value in a column without a name; name or clear the column"
                )
        values.extend([None] * (max(names) + 1 - len(values)))
        yield number, {name: values[i] for i, name in names.items()}


def _check_archive(path: Path) -> None:
    """Raises SourceError: it is no archive, or one that would fill the disk or the memory."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            old = file.read(len(_OLD)) == _OLD
        what = "an older workbook, or one with a password" if old else "damaged, or no workbook"
        raise SourceError(f"{path}: {what}; save it as .xlsx, without a password")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError) as error:
        raise SourceError(f"{path}: damaged ({first_line(error)}); save it again") from error
    if unpacked > max(_LARGE, _DENSE * path.stat().st_size):
        raise SourceError(f"{path}: {unpacked:,} bytes when unpacked, as no workbook is; save it again")


def _rows(path: Path, wanted: str | None) -> Iterator[Row]:
    with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
        sheet = _sheet(book.worksheets, path, wanted)
        formulas = _Formulas(path, sheet.title)
        for number, cells in _numbered(sheet, path):
            values = [_value(cell, i, number, path, formulas) for i, cell in enumerate(cells)]
            while values and values[-1] is None:
                values.pop()
            if values:
                yield number, values


def _sheet(sheets: list[Any], path: Path, wanted: str | None) -> Any:
    if wanted is not None:
        found = next((sheet for sheet in sheets if sheet.title == wanted), None)
        if found is None:
            raise SourceError(f"{path}: has no sheet {wanted!r}{suggest(wanted, [sheet.title for sheet in sheets])}")
        return found
    filled = [sheet for sheet in sheets if _is_filled(sheet)]
    if len(filled) > 1:
        names = ", ".join(repr(sheet.title) for sheet in filled)
        raise SourceError(f"{path}: holds the sheets {names}; say which to read, as in --sheet '{filled[0].title}'")
    if not filled:
        raise SourceError(f"{path}: no cell holds anything")
    return filled[0]


def _is_filled(sheet: Any) -> bool:
    sheet.reset_dimensions()
    return any(value is not None for row in sheet.iter_rows(values_only=True) for value in row)


def _numbered(sheet: Any, path: Path) -> Iterator[tuple[int, Iterable[Any]]]:
    sheet.reset_dimensions()  # a file may say less than it holds
    for number, cells in enumerate(sheet.iter_rows(), 1):
        if number > _MOST_ROWS:
            raise SourceError(f"{path}: damaged (more than {_MOST_ROWS:,} rows); save it again")
        yield number, cells


class _Formulas:
    """Which cells hold a formula; opened when one has no value, since the workbook is then read twice."""

    def __init__(self, path: Path, title: str) -> None:
        self._path, self._title = path, title
        self._rows: Iterator[tuple[int, Iterable[Any]]] | None = None
        self._number = 0
        self._columns: set[int] = set()

    def holds(self, column: int, number: int) -> bool:
        """Whether a cell does; rows are asked for in their order."""
        if self._rows is None:
            self._rows = self._opened()
        while self._number < number:
            self._number, cells = next(self._rows)
            self._columns = {i for i, cell in enumerate(cells) if cell.data_type == "f"}
        return column in self._columns

    def _opened(self) -> Iterator[tuple[int, Iterable[Any]]]:
        with closing(openpyxl.load_workbook(self._path, read_only=True)) as book:
            yield from _numbered(book[self._title], self._path)


def _value(cell: Any, column: int, number: int, path: Path, formulas: _Formulas) -> Any:
    value = cell.value
    if cell is EMPTY_CELL or type(value) in (str, int, float, bool):
        if cell.data_type == "e":
            raise SourceError(f"{path}, cell {_cell(column, number)}: the error {value}; fix or clear it")
        return value
    if value is None:
        if cell.data_type == "str":
            return ""  # what a formula gave
        if formulas.holds(column, number):
            raise SourceError(
                f"{path}, cell {_cell(column, number)}: a formula that was never calculated; open the file in a "
                "spreadsheet program and save it"
            )
        return None
    if isinstance(value, datetime.datetime):
        day = value.time() == datetime.time() and is_datetime(cell.number_format) == "date"
        return value.date().isoformat() if day else value.isoformat()
    return value.isoformat() if isinstance(value, datetime.time) else str(value)


def _cell(column: int, number: int) -> str:
    return f"{get_column_letter(column + 1)}{number}"
