"""Plain text, a row a line: the named groups of a pattern are the columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import SourceError
from lope_data.sources.text import line_blocks


def read_lines(path: Path, encoding: str | None, pattern: str) -> pa.Table:
    """Each line is matched whole; blank lines are passed over, a group that has no part in a match is empty.

    Raises:
        SourceError: a line that does not match; says which.
    """
    tables = []
    for number, lines in line_blocks(path, encoding):
        texts = pa.array(lines, pa.binary()).cast(pa.string())
        blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
        # Arrow's RE2, for all lines at once
        found = pc.extract_regex(texts, rf"\A(?:{pattern})\z")
        missed = pc.and_(found.is_null(), pc.invert(blank))
        place = pc.index(missed, True).as_py()
        if place >= 0:
            raise SourceError(
                f"{path}, line {number + place}: {lines[place].decode()[:60]!r} does not match the pattern {pattern}"
            )
        kept = found.filter(pc.invert(blank))
        tables.append(pa.table(dict(zip([field.name for field in kept.type], kept.flatten(), strict=True))))
    return pa.concat_tables(tables) if tables else pa.table({})
