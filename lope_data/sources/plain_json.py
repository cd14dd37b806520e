"""JSON objects of texts alone, by the fast reader: what it takes is what the careful one would have given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.sources.chunks import Chunk
from lope_data.sources.keys import PartKeys
from lope_data.sources.part import Part

LEAST = 1 << 20  # bytes of a chunk: below that it takes longer to load the kernels than to read with care
_AMBIGUOUS = frozenset('"\\') | frozenset(map(chr, range(32)))


def keys_of(row: Any) -> tuple[str, ...] | None:
    """The keys that all rows must have to be plain, those of the first; None where it is not plain itself."""
    if not isinstance(row, dict) or not row or not all(isinstance(value, str) for value in row.values()):
        return None
    if any(_AMBIGUOUS & set(key) for key in row):  # written with escapes
        return None
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return None
    return tuple(row)


def plain_part(chunk: Chunk, keys: Sequence[str], *, listed: bool) -> Part | None:
    """The rows of a chunk; None where something in it is not plain.

    Args:
        keys: of every row, in their order.
        listed: whether the rows stand between commas, and not on lines of their own.
    """
    table = _scanned(chunk.data, keys, listed)
    if table is None:
        return None

    def again() -> pa.Table:
        found = _scanned(chunk.again(), keys, listed)
        if found is None:
            raise SourceError(f"{chunk.path}: changed while it was read; try again when it is written")
        return found

    counts = PartKeys((tuple(keys),), None, len(table), dict.fromkeys(keys, len(table)))
    return Part(table, str(chunk.path), counts, again if chunk.raw else None)


def _scanned(text: bytes, keys: Sequence[str], listed: bool) -> pa.Table | None:
    from lope_data.text.kernels import PADDING, scanned, words_of

    data = np.frombuffer(text + bytes(PADDING), np.uint8)
    names = [key.encode() for key in keys]
    first = np.cumsum([0, *map(len, names)])
    stride = len(text) + PADDING
    out = np.empty(stride * len(names), np.uint8)
    most = text.count(b"{") if listed else text.count(b"\n") + 1
    offsets = np.zeros((len(names), most + 1), np.int32)
    written = np.frombuffer(b"".join(names), np.uint8)
    args = (data, words_of(data), len(text), written, first, listed, out, words_of(out), stride, offsets)
    rows = scanned(*args)
    if rows < 0:
        return None
    columns = {
        key: pa.Array.from_buffers(
            pa.string(), rows, [None, pa.py_buffer(offsets[k]), pa.py_buffer(out[k * stride : (k + 1) * stride])]
        )
        for k, key in enumerate(keys)
    }
    return pa.table(columns)
