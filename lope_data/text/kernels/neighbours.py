"""Pairs of neighbours that differ, and putting them the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from lope_data.text.kernels.compiling import I64, I64_IN, U8_IN, U64, WORDS_IN, Bytes, kernel


@kernel(U8_IN, int64, int64, int64)
def _differ(data: Bytes, low: int, middle: int, high: int) -> bool:
    """Whether data[low:middle] and data[middle:high] differ."""
    same = middle - low == high - middle
    j = 0
    while same and j < middle - low:
        same = data[low + j] == data[middle + j]
        j += 1
    return not same


@kernel(uint64, uint64)
def _unlike(one: Any, other: Any) -> Any:
    """The lowest bit of each of eight bytes that differ."""
    x = one ^ other
    seven = uint64(0x7F7F7F7F7F7F7F7F)
    return ((((x & seven) + seven) | x) & ~seven) >> uint64(7)


@kernel(uint64)
def _count(bits: Any) -> Any:
    """How many bytes of 1 there are among eight of 1 or 0."""
    return int64((bits * uint64(0x0101010101010101)) >> uint64(56))


@kernel(U8_IN, WORDS_IN, I64_IN, I64_IN, U8_IN, I64_IN, I64_IN)
def count_pairs(
    data: Bytes, words: U64, bounds: I64, row_bounds: I64, plain: Bytes, edges: I64, first_edge: I64
) -> I64:
    """For each row, how many graphemes differ from the one after them in their cell; see `graphemes.Graphemes`."""
    out = np.zeros(len(plain), np.int64)
    for row in range(len(plain)):
        edge = first_edge[row]
        for cell in range(row_bounds[row], row_bounds[row + 1]):
            end = bounds[cell + 1]
            if plain[row]:
                at, count = bounds[cell], 0
                while at + 8 < end:
                    count += _count(_unlike(words[at], words[at + 1]))
                    at += 8
                for i in range(at, end - 1):
                    count += data[i] != data[i + 1]
                out[row] += count
                continue
            while edge < first_edge[row + 1] and edges[edge] < end:
                middle = edges[edge + 1] if edge + 1 < first_edge[row + 1] else end
                high = edges[edge + 2] if edge + 2 < first_edge[row + 1] else end
                out[row] += middle < end and _differ(data, edges[edge], middle, min(high, end))
                edge += 1
    return out


@kernel(U8_IN, WORDS_IN, I64_IN, I64_IN, U8_IN, I64_IN, I64_IN, I64_IN, I64_IN)
def find_pairs(
    data: Bytes,
    words: U64,
    bounds: I64,
    row_bounds: I64,
    plain: Bytes,
    edges: I64,
    first_edge: I64,
    first: I64,
    index: I64,
) -> tuple[I64, I64, I64]:
    """Of these pairs those with the numbers `index`, ascending: where they begin, where their halves meet, and where
    they end. Row i has the numbers from first[i] on.
    """
    start, half, end = np.empty(len(index), np.int64), np.empty(len(index), np.int64), np.empty(len(index), np.int64)
    row, number, cell, at, edge = -1, 0, 0, 0, 0
    for i in range(len(index)):
        if row < 0 or index[i] >= first[row + 1]:
            row += 1
            while index[i] >= first[row + 1]:
                row += 1
            number, cell, edge = first[row], row_bounds[row], first_edge[row]
            at = bounds[cell]
        if plain[row]:
            while number <= index[i]:
                last = bounds[cell + 1] - 1
                while at + 8 <= last:
                    unlike = _unlike(words[at], words[at + 1])
                    count = _count(unlike)
                    if number + count > index[i]:
                        for _ in range(index[i] - number):
                            unlike &= unlike - uint64(1)
                        at += _count((unlike & (~unlike + uint64(1))) - uint64(1) & uint64(0x0101010101010101)) + 1
                        number = index[i] + 1
                        break
                    number += count
                    at += 8
                while at < last and number <= index[i]:
                    number += data[at] != data[at + 1]
                    at += 1
                if number <= index[i]:
                    cell += 1
                    at = bounds[cell]
            start[i], half[i], end[i] = at - 1, at, at + 1
            continue
        low, middle, high = 0, 0, 0
        while number <= index[i]:
            stop = bounds[cell + 1]
            low = edges[edge]
            if low >= stop:
                cell += 1
                continue
            middle = edges[edge + 1] if edge + 1 < first_edge[row + 1] else stop
            high = min(edges[edge + 2] if edge + 2 < first_edge[row + 1] else stop, stop)
            number += middle < stop and _differ(data, low, middle, high)
            edge += 1
        start[i], half[i], end[i] = low, middle, high
    return start, half, end


@kernel(U8_IN, I64_IN, I64_IN, I64_IN)
def unequal_neighbours(data: Bytes, start: I64, end: I64, bounds: I64) -> I64:
    """The i for which spans i and i + 1 are in one cell and differ."""
    out = np.empty(max(len(start), 1), np.int64)
    count, cell = 0, 0
    for i in range(len(start) - 1):
        while bounds[cell + 1] <= start[i]:
            cell += 1
        size = end[i] - start[i]
        same = size == end[i + 1] - start[i + 1]
        j = 0
        while same and j < size:
            same = data[start[i] + j] == data[start[i + 1] + j]
            j += 1
        out[count] = i
        count += not same and start[i + 1] < bounds[cell + 1]
    return out[:count]


@kernel(U8_IN, I64_IN, I64_IN, I64_IN, I64_IN)
def exchanged(data: Bytes, a: I64, b: I64, c: I64, d: I64) -> tuple[I64, Bytes]:
    """data[c:d] + data[b:c] + data[a:b] for each, as offsets and bytes."""
    offsets = np.empty(len(a) + 1, np.int64)
    offsets[0] = 0
    for i in range(len(a)):
        offsets[i + 1] = offsets[i] + d[i] - a[i]
    out = np.empty(offsets[-1], np.uint8)
    at = 0
    for i in range(len(a)):
        for j in range(c[i], d[i]):
            out[at] = data[j]
            at += 1
        for j in range(b[i], c[i]):
            out[at] = data[j]
            at += 1
        for j in range(a[i], b[i]):
            out[at] = data[j]
            at += 1
    return offsets, out
