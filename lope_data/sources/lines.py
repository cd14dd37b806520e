"""Plain text, a row a line: the named groups of a pattern are the columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lope_data.sources.chunks import Chunk, line_chunks
from lope_data.sources.part import BrokenRow, Part, Task


def read_lines(path: Path, encoding: str | None, pattern: str) -> Iterator[Task]:
    """Each line is matched whole; blank lines are passed over, a group that has no part in a match is empty. Lines that
    do not match are broken.
    """
    for chunk in line_chunks(path, encoding):
        yield partial(_matched, chunk, pattern)


def _matched(chunk: Chunk, pattern: str) -> Part:
    chunk.check()
    lines = chunk.data.splitlines()
    texts = pa.array(lines, pa.binary()).cast(pa.string())
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    # Arrow's RE2, for all lines at once
    found = pc.extract_regex(texts, rf"\A(?:{pattern})\z")
    missed = pc.and_(found.is_null(), pc.invert(blank))
    broken = [
        BrokenRow(f"{lines[place].decode()[:60]!r} does not match the pattern {pattern}", chunk.line + place)
        for place in pc.indices_nonzero(missed).to_pylist()
    ]
    kept = found.filter(pc.and_(found.is_valid(), pc.invert(blank)))
    columns = dict(zip([field.name for field in kept.type], kept.flatten(), strict=True))
    return Part(pa.table(columns), str(chunk.path), broken=broken)
