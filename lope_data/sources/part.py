"""Parts of a source: some of its rows, read by whoever has time, and put together in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lope_data.sources.keys import PartKeys


@dataclass(frozen=True)
class BrokenRow:
    """A row that cannot be read.

    Attributes:
        reason: why.
        line: of the file, on which it begins; None where that is not known.
        row: its number, where there is no line: in the part, or, once parts are put together, in the file.
        file: the name of the file, of a source with several.
    """

    reason: str
    line: int | None = None
    row: int | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        place = f"row {self.row}" if self.line is None else f"line {self.line}"
        return place if self.file is None else f"{self.file}, {place}"


@dataclass(frozen=True)
class Part:
    """Some rows of a source.

    Attributes:
        table: the rows, in types that hold exactly what they have, whatever other parts hold.
        where: the file, for messages.
        keys: of rows that are JSON objects which keys each has; None where the columns say all.
        again: reads the same rows again, at little cost; None where they have to be kept.
        broken: rows that could not be read, which are not in the table.
    """

    table: pa.Table
    where: str
    keys: PartKeys | None = None
    again: Callable[[], pa.Table] | None = None
    broken: Sequence[BrokenRow] = ()


Task = Callable[[], Part]
"""Reads a part."""
