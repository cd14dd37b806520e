"""What a format of files is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from lope_data.sources.part import Task
    from lope_data.sources.reading import Reading


@dataclass(frozen=True)
class Format:
    """How files with one suffix are read.

    Attributes:
        read: what reads the rows of the file at a path, part after part, in the way asked. Raises SourceError, with the
            line or row, where the file is not what it should be; errors of Arrow and of the system may pass.
        schema: of a file whose columns have types: those of several files are made one before any is read.
        text: whether it holds text, which has an encoding and may be compressed; else it says all of that itself.
        takes: the names of what a `Reading` may say of it, beside what any text has.
        notes: whether such files in a folder may be about its rows, which others hold: a README.txt.
    """

    read: Callable[[Path, Reading], Iterator[Task]]
    schema: Callable[[Path], pa.Schema] | None = None
    text: bool = True
    takes: tuple[str, ...] = ()
    notes: bool = False
