"""The content digest: of blocks of rows and their edits, hashed alone and then combined (FORMAT.md).

A block's digest hangs on its values, not on chunks, files, compression or the width of strings. So whoever makes some
rows hashes the blocks that lie in them, and nobody has to read all rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.files import canonical
from lope_data.rows.digests import full_name, values_digest
from lope_data.rows.layout import Layout
from lope_data.rows.shapes import ROW_ID
from lope_data.store.manifest import BLOCK, FORMAT
from lope_data.text.buffers import whole
from lope_data.text.draws import I64


def block_digests(rows: pa.Table, edits: pa.Table, first: int, total: int) -> dict[int, str]:
    """The digests of the blocks that lie whole in some rows, by their number.

    Args:
        edits: of these rows, in their order.
        first: the number of the first of these rows.
        total: how many rows the version has: its last block may be shorter.

    Raises:
        ValueError: an edit is of none of these rows, or out of their order.
    """
    bounds = _edit_bounds(rows, edits)
    found = {}
    for block in range(-(-first // BLOCK), -(-total // BLOCK)):
        low, high = block * BLOCK - first, min((block + 1) * BLOCK, total) - first
        if high > len(rows):
            break
        part = edits.slice(bounds[low], bounds[high] - bounds[low])
        found[block] = _block_digest(rows.slice(low, high - low), part)
    return found


def block_digest(rows: pa.Table, edits: pa.Table, low: int, high: int) -> str:
    """The digest of rows low to high as a block. Raises ValueError: as `block_digests`."""
    bounds = _edit_bounds(rows, edits)
    return _block_digest(rows.slice(low, high - low), edits.slice(bounds[low], bounds[high] - bounds[low]))


def combined(blocks: Mapping[int, str], rows: pa.Schema, count: int, layout: Layout) -> str:
    """`sha256:` and the digest of all blocks.

    Args:
        rows: their schema.
        count: how many there are.
    """
    whole_digest = {
        "format": FORMAT,
        "rows": count,
        "layout": layout.plain,
        "columns": {field.name: full_name(field.type) for field in rows},
        "blocks": [blocks[block] for block in range(-(-count // BLOCK))],
    }
    return "sha256:" + hashlib.sha256(canonical(whole_digest)).hexdigest()


def content_digest(rows: pa.Table, edits: pa.Table, layout: Layout) -> str:
    """The digest of all rows and edits. Raises ValueError: the edits are not those of the rows."""
    return combined(block_digests(rows, edits, 0, len(rows)), rows.schema, len(rows), layout)


class ContentDigest:
    """The digest of rows and edits that come part after part."""

    def __init__(self, total: int) -> None:
        """`total`: how many rows there will be."""
        self._total = total
        self._blocks: dict[int, str] = {}
        self._held: list[tuple[pa.Table, pa.Table]] = []
        self._first = self._next = 0

    def add(self, rows: pa.Table, edits: pa.Table) -> None:
        """Takes the next rows, and their edits. Raises ValueError: the edits are not those of the rows."""
        self._held.append((rows, edits))
        self._next += len(rows)
        if self._next // BLOCK > self._first // BLOCK or self._next == self._total:
            rows, edits = (pa.concat_tables(part) for part in zip(*self._held, strict=True))
            self._blocks |= block_digests(rows, edits, self._first, self._total)
            kept = self._next // BLOCK * BLOCK - self._first
            bound = int(_edit_bounds(rows, edits)[kept])
            self._held = [(rows.slice(kept), edits.slice(bound))]
            self._first += kept

    def finish(self, schema: pa.Schema, layout: Layout) -> str:
        """`sha256:` and the digest of all of them."""
        return combined(self._blocks, schema, self._total, layout)


def _edit_bounds(rows: pa.Table, edits: pa.Table) -> I64:
    """Where the edits of each row begin, and where those of the last end."""
    if not len(edits):
        return np.zeros(len(rows) + 1, np.int64)
    place = pc.index_in(whole(edits["row_id"]), value_set=whole(rows[ROW_ID]))
    if place.null_count:
        raise ValueError("an edit is of a row that is not there")
    places = np.asarray(place).astype(np.int64)
    if (places[1:] < places[:-1]).any():
        raise ValueError("the edits are not in the order of the rows")
    return np.searchsorted(places, np.arange(len(rows) + 1))


def _block_digest(rows: pa.Table, edits: pa.Table) -> str:
    digest = hashlib.sha256(_described("rows", rows))
    digest.update(_described("edits", edits) if len(edits) else _no_rows("edits", edits.schema))
    return digest.hexdigest()


@lru_cache(8)
def _no_rows(name: str, schema: pa.Schema) -> bytes:
    """What is hashed of a table without rows: of a clean version that is half of the work."""
    return _described(name, schema.empty_table())


def _described(name: str, table: pa.Table) -> bytes:
    """What is hashed of a table."""
    columns = (
        f"{len(column.encode())}:{column}\n".encode() + values_digest(whole(table[column]))
        for column in sorted(table.column_names)
    )
    return b"".join([f"{name}:{len(table)}:{table.num_columns}\n".encode(), *columns])
