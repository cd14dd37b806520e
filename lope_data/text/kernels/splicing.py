"""Putting other bytes in the place of spans."""

from __future__ import annotations

import numpy as np
from numba import int64

from lope_data.text.kernels.compiling import I64, I64_IN, U8_IN, U8_OUT, Bytes, kernel


@kernel(U8_IN, I64_IN, I64_IN, int64)
def _without(data: Bytes, start: I64, end: I64, size: int) -> Bytes:
    keep = np.ones(len(data), np.uint8)
    for i in range(len(start)):
        for j in range(start[i], end[i]):
            keep[j] = 0
    out = np.empty(size + 1, np.uint8)  # each byte is written, and overwritten if it does not stay: no branch
    at = 0
    for i in range(len(data)):
        out[at] = data[i]
        at += keep[i]
    return out[:size]


@kernel(U8_OUT, I64_IN, I64_IN, I64_IN, U8_IN)
def _filled(out: Bytes, start: I64, end: I64, offsets: I64, after: Bytes) -> None:
    """Puts what comes after the edits in its places among what was kept."""
    grown = 0
    for i in range(len(start)):
        for j in range(offsets[i], offsets[i + 1]):
            out[start[i] + grown + j - offsets[i]] = after[j]
        grown += offsets[i + 1] - offsets[i] - (end[i] - start[i])


@kernel(U8_IN, I64_IN, I64_IN, I64_IN, U8_IN)
def _with(kept: Bytes, start: I64, end: I64, offsets: I64, after: Bytes) -> Bytes:
    new = np.zeros(len(kept) + len(after), np.uint8)
    grown = 0
    for i in range(len(start)):
        size = offsets[i + 1] - offsets[i]
        for j in range(start[i] + grown, start[i] + grown + size):
            new[j] = 1
        grown += size - (end[i] - start[i])
    out = np.empty(len(new), np.uint8)
    at, to = 0, 0
    while at < len(kept):  # where a new byte belongs, the next kept one is written and then again: no branch
        out[to] = kept[at]
        at += 1 - new[to]
        to += 1
    _filled(out, start, end, offsets, after)
    return out


@kernel(U8_IN, I64_IN, I64_IN, I64_IN, U8_IN)
def _stretched(data: Bytes, start: I64, end: I64, offsets: I64, after: Bytes) -> Bytes:
    size = len(data) + len(after)
    for i in range(len(start)):
        size -= end[i] - start[i]
    out = np.empty(size, np.uint8)
    at, to = 0, 0
    for i in range(len(start) + 1):  # spans that keep their size are copied with what is around them
        if i < len(start) and end[i] - start[i] == offsets[i + 1] - offsets[i]:
            continue
        stop = start[i] if i < len(start) else len(data)
        out[to : to + stop - at] = data[at:stop]
        to += stop - at
        if i < len(start):
            at = end[i]
            to += offsets[i + 1] - offsets[i]
    _filled(out, start, end, offsets, after)
    return out


@kernel(U8_IN, I64_IN, I64_IN, I64_IN, U8_IN)
def spliced(data: Bytes, start: I64, end: I64, offsets: I64, after: Bytes) -> Bytes:
    """The data with data[start[i]:end[i]] replaced by after[offsets[i]:offsets[i + 1]], spans ascending and apart."""
    removed, stretched = 0, 0
    for i in range(len(start)):
        size = end[i] - start[i]
        removed += size
        stretched += size != offsets[i + 1] - offsets[i]
    if 32 * stretched < len(data):  # long runs to copy; else it is quicker to look at each byte, without a branch
        return _stretched(data, start, end, offsets, after)
    kept = data if removed == 0 else _without(data, start, end, len(data) - removed)
    return kept.copy() if not len(after) else _with(kept, start, end, offsets, after)


@kernel(I64_IN, I64_IN, I64_IN, I64_IN, I64_IN)
def moved(bounds: I64, cell: I64, start: I64, end: I64, offsets: I64) -> I64:
    """The bounds of cells after such a splice; `cell` says where each edit lies, ascending."""
    out = bounds.copy()
    grown, edit = 0, 0
    for i in range(len(bounds) - 1):
        while edit < len(cell) and cell[edit] == i:
            grown += offsets[edit + 1] - offsets[edit] - (end[edit] - start[edit])
            edit += 1
        out[i + 1] += grown
    return out


@kernel(U8_IN, I64_IN, I64_IN)
def gathered(data: Bytes, start: I64, end: I64) -> tuple[I64, Bytes]:
    """data[start[i]:end[i]] for each i, as offsets and bytes."""
    offsets = np.empty(len(start) + 1, np.int64)
    offsets[0] = 0
    for i in range(len(start)):
        offsets[i + 1] = offsets[i] + end[i] - start[i]
    out = np.empty(offsets[-1], np.uint8)
    for i in range(len(start)):
        shift = start[i] - offsets[i]
        for j in range(offsets[i], offsets[i + 1]):
            out[j] = data[j + shift]
    return offsets, out
