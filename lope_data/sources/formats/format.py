"""What a format of files is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Format:
    """How files with one suffix are read.

    Attributes:
        read: the rows of the file at a path, its text in an encoding. Raises SourceError, with the line or row, where
            the file is not what it should be; errors of Arrow and of the system may pass.
        text: whether it holds text, which has an encoding and may be compressed; else it says all of that itself.
    """

    read: Callable[[Path, str], pa.Table]
    text: bool = True
