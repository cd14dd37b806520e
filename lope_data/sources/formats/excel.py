"""Excel workbooks: a sheet whose first row names the columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_common.extras import check_installed
from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format

if TYPE_CHECKING:
    from lope_data.sources.part import Task
    from lope_data.sources.reading import Reading

_ROWS = 10_000  # that are made into columns at a time


def read_excel(path: Path, reading: Reading) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """The rows of the only sheet that holds something, or of the one asked for, thousands at a time.

    Text, whole numbers, other numbers and booleans are what they are, dates and times are text as in ISO 8601, and
    an empty cell is null. Rows without a value are passed over, as blank lines are.

    Returns:
        The numbers of some rows in the sheet, and the rows, each with all columns.

    Raises:
        SourceError: openpyxl is missing; it is no sound workbook; no sheet holds anything, or several do and none was
            asked for; two columns have one name; an error, a formula that was never calculated, or a value in no
            column. Says in which cell.
    """
    check_installed("reading .xlsx files needs", ["openpyxl"], SourceError)
    from lope_data.sources.sheet import sheet_rows, table_of

    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    for number, row in table_of(sheet_rows(path, reading.sheet), path, header=reading.header):
        numbers.append(number)
        rows.append(row)
        if len(rows) == _ROWS:
            yield numbers, rows
            numbers, rows = [], []
    if rows:
        yield numbers, rows


def _tasks(path: Path, reading: Reading) -> Iterator[Task]:
    from lope_data.sources.objects import object_part

    for numbers, rows in read_excel(path, reading):
        yield partial(object_part, rows, str(path), None, numbers)


FORMATS = {".xlsx": Format(_tasks, text=False, takes=("header", "sheet"))}
