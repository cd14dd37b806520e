"""What stands between the columns of a delimited file, and what they are called: found in its first records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.sources.records import records

if TYPE_CHECKING:
    from lope_data.sources.reading import Reading

_DELIMITERS = ",;\t|"
_LINES = 500  # in which the delimiter is looked for


@dataclass(frozen=True)
class Dialect:
    """How records are written.

    Attributes:
        names: of the columns.
        start: how many lines stand before the rows.
    """

    delimiter: str
    names: tuple[str, ...]
    start: int


@dataclass(frozen=True)
class _Tried:
    """What a delimiter makes of the first records: how many fields the first has, how many follow, whether all fit."""

    columns: int
    rows: int
    fits: bool


def find_dialect(path: Path, lines: Sequence[bytes], reading: Reading, standard: str) -> Dialect | None:
    """The dialect of a file that begins with some lines; None where its first record does not end in them.

    Args:
        standard: the delimiter that the file's suffix says.

    Raises:
        SourceError: several delimiters may be meant, or two columns have one name.
    """
    delimiter = reading.delimiter or _found(path, lines, reading, standard)
    first = next((r for r in records(lines, delimiter, quoted=reading.quoting != "none") if r.fields), None)
    if first is None:
        return None
    if not reading.header:
        return Dialect(delimiter, tuple(f"column_{i}" for i in range(len(first.fields))), 0)
    if twice := [name for name, count in Counter(first.fields).items() if count > 1]:
        raise SourceError(
            f"{path}: has two columns {twice[0]!r}; rename one; if line {first.begin + 1} is a row and no header, "
            "--no-header"
        )
    return Dialect(delimiter, tuple(first.fields), first.end)


def _found(path: Path, lines: Sequence[bytes], reading: Reading, standard: str) -> str:
    tried = {char: _try(lines, char, reading.quoting != "none") for char in _DELIMITERS}
    fitting = [char for char, one in tried.items() if one.fits and one.columns > 1]
    meant, others = tried[standard], [char for char in fitting if char != standard]
    if not others or (standard in fitting and not meant.rows):
        _check_single(path, lines, tried, standard)
        return standard
    if len(fitting) > 1 or not reading.header:
        possible = " or ".join(map(_option, [standard, *others]))
        raise SourceError(f"{path}: its columns may stand between several characters; say which: {possible}")
    return others[0]


def _try(lines: Sequence[bytes], delimiter: str, quoted: bool) -> _Tried:
    found = (len(r.fields) for r in records(lines[:_LINES], delimiter, quoted=quoted) if r.fields)
    columns = next(found, 0)
    counts = list(found)
    return _Tried(columns, len(counts), set(counts) <= {columns})


def _check_single(path: Path, lines: Sequence[bytes], tried: dict[str, _Tried], standard: str) -> None:
    """Raises SourceError where there is one column, but several between something else, which rows do not bear out."""
    if tried[standard].columns != 1:
        return
    other = next((char for char, one in tried.items() if one.columns > 1), None)
    if other is not None:
        name = next(line.strip() for line in lines if line.strip()).decode()
        raise SourceError(
            f"{path}: one column, {shown(name)}, or several between {other!r}, which do not fit all rows; "
            f"say which: {_option(other)} or {_option(standard)}"
        )


def _option(delimiter: str) -> str:
    """The option that names a delimiter, as it is typed."""
    return "--delimiter tab" if delimiter == "\t" else f"--delimiter '{delimiter}'"
