"""Plain text, a row a line. A blank line is a row too, so that what comes out is what was there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lope_data.sources.formats.format import Format
from lope_data.sources.text import line_blocks

if TYPE_CHECKING:
    import pyarrow as pa


def read_plain(path: Path, encoding: str | None) -> pa.Table:
    """The lines of a file, without their ends, as a column `text`."""
    import pyarrow as pa

    chunks = [pa.array(lines, pa.binary()).cast(pa.large_string()) for _, lines in line_blocks(path, encoding)]
    return pa.table({"text": pa.chunked_array(chunks, pa.large_string())})


FORMATS = {".txt": Format(lambda path, reading: read_plain(path, reading.said_encoding), notes=True)}
