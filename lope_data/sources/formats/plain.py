"""Plain text, a row a line. A blank line is a row too, so that what comes out is what was there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lope_data.sources.formats.format import Format

if TYPE_CHECKING:
    from lope_data.sources.chunks import Chunk
    from lope_data.sources.part import Part, Task
    from lope_data.sources.reading import Reading


def read_plain(path: Path, reading: Reading) -> Iterator[Task]:
    """The lines of a file, without their ends, as a column `text`."""
    from lope_data.sources.chunks import line_chunks

    for chunk in line_chunks(path, reading.said_encoding):
        yield partial(_lines, chunk)


def _lines(chunk: Chunk) -> Part:
    import pyarrow as pa

    from lope_data.sources.part import Part

    chunk.check()
    lines = pa.array(chunk.data.splitlines(), pa.binary()).cast(pa.large_string())
    return Part(pa.table({"text": lines}), str(chunk.path))


FORMATS = {".txt": Format(read_plain, notes=True)}
