"""JSON objects of texts alone, by the fast reader: what it takes is what the careful one would have given."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lope_data.rows.shapes import KEYS
from lope_data.sources.chunks import Chunk, read_again
from lope_data.sources.keys import PartKeys
from lope_data.sources.part import Part
from lope_data.sources.text import changed

LEAST = 1 << 19  # bytes of a chunk: below that it takes longer to load the kernels than to read with care
_MOST = 1 << 30  # bytes whose places 32 bits can count
_AMBIGUOUS = frozenset('"\\') | frozenset(map(chr, range(32)))


def keys_of(row: Any) -> tuple[str, ...] | None:
    """The keys that all rows must have to be plain, those of the first; None where it is not plain itself."""
    if not isinstance(row, dict) or not row or not all(isinstance(value, str) for value in row.values()):
        return None
    if KEYS in row or any(_AMBIGUOUS & set(key) for key in row):  # ours, or written with escapes
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
    if len(chunk.data) > _MOST:
        return None
    most = chunk.data.count(b"{") if listed else chunk.ends + 1
    table = _scanned(chunk.data, keys, listed, most)
    if table is None:
        return None

    counts = PartKeys((tuple(keys),), None, len(table), dict.fromkeys(keys, len(table)))
    again = partial(_again, chunk.path, chunk.place, len(chunk.data), keys, listed, len(table)) if chunk.raw else None
    return Part(table, str(chunk.path), counts, again)


def _again(path: Path, place: int, size: int, keys: Sequence[str], listed: bool, rows: int) -> pa.Table:
    table = _scanned(read_again(path, place, size), keys, listed, rows)
    if table is None or len(table) != rows:
        raise changed(path)
    return table


def _scanned(text: bytes, keys: Sequence[str], listed: bool, most: int) -> pa.Table | None:
    """At most so many rows."""
    from lope_data.text.kernels import PADDING, scanned, words_of

    data = np.frombuffer(text + bytes(PADDING), np.uint8)
    names = [key.encode() for key in keys]
    first = np.cumsum([0, *map(len, names)])
    stride = len(text) + PADDING
    out = _scratch(stride * len(names))
    offsets = np.zeros((len(names), most + 1), np.int32)
    written = np.frombuffer(b"".join(names), np.uint8)
    rows = scanned(data, words_of(data), len(text), written, first, listed, out, words_of(out), stride, offsets)
    if rows < 0:
        return None
    columns = {}
    for number, key in enumerate(keys):
        ends = offsets[number, : rows + 1].copy()
        texts = out[number * stride : number * stride + int(ends[-1])].copy()
        columns[key] = pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(ends), pa.py_buffer(texts)])
    return pa.table(columns)


def _scratch(size: int) -> npt.NDArray[np.uint8]:
    """Room for a thread to write to, which it keeps: making it for each chunk takes as long as reading that."""
    found: npt.NDArray[np.uint8] | None = getattr(_OF_THREAD, "room", None)
    if found is None or len(found) < size:
        found = np.empty(size, np.uint8)
        _OF_THREAD.room = found
    return found


_OF_THREAD = threading.local()
