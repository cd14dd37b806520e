"""Finding spans: marked bytes, runs, graphemes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint8, uint64

from lope_data.text.kernels.compiling import I64, I64_IN, U8_IN, U64, WORDS_IN, Bytes, kernel


@kernel(U8_IN, U8_IN)
def marked(data: Bytes, table: Bytes) -> I64:
    """The places i where table[data[i]] is 1 (and not 0)."""
    out = np.empty(len(data) + 1, np.int64)
    count = 0
    for i in range(len(data)):
        out[count] = i
        count += table[data[i]]
    return out[:count]


@kernel(U8_IN, U8_IN, I64_IN, U8_IN)
def marked_in(data: Bytes, table: Bytes, bounds: I64, leave: Bytes) -> I64:
    """The same, but for the rows data[bounds[row]:bounds[row + 1]] where `leave` is 1."""
    size = 0
    for row in range(len(leave)):
        if not leave[row]:
            size += bounds[row + 1] - bounds[row]
    out = np.empty(size + 1, np.int64)
    count = 0
    for row in range(len(leave)):
        if not leave[row]:
            for i in range(bounds[row], bounds[row + 1]):
                out[count] = i
                count += table[data[i]]
    return out[:count]


@kernel(U8_IN, I64_IN, U8_IN)
def of_points(data: Bytes, place: I64, points: Bytes) -> I64:
    """Of the places where code points begin, those whose code point the table marks with 1."""
    out = np.empty(len(place), np.int64)
    count = 0
    for i in range(len(place)):
        at = place[i]
        lead = int64(data[at])
        size = 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)
        point = lead if size == 1 else lead & (0x7F >> size)
        for j in range(1, size):
            point = point << 6 | int64(data[at + j] & 0x3F)
        out[count] = at
        count += points[point]
    return out[:count]


@kernel(I64_IN, I64_IN, I64_IN, U8_IN, I64_IN, I64_IN)
def grapheme_edges(
    index: I64, first: I64, row_edges: I64, plain: Bytes, edges: I64, first_edge: I64
) -> tuple[I64, I64]:
    """Where graphemes with these numbers, ascending, begin and end; see `graphemes.Graphemes`."""
    start, end = np.empty(len(index), np.int64), np.empty(len(index), np.int64)
    row = 0
    for i in range(len(index)):
        while index[i] >= first[row + 1]:
            row += 1
        number = index[i] - first[row]
        if plain[row]:
            start[i] = row_edges[row] + number
            end[i] = start[i] + 1
        else:
            edge = first_edge[row] + number
            start[i] = edges[edge]
            end[i] = edges[edge + 1] if edge + 1 < first_edge[row + 1] else row_edges[row + 1]
    return start, end


@kernel(I64_IN, I64_IN, I64_IN, U8_IN, I64_IN, I64_IN)
def grapheme_numbers(position: I64, first: I64, row_edges: I64, plain: Bytes, edges: I64, first_edge: I64) -> I64:
    """The numbers of the graphemes that begin at these bytes, ascending; see `graphemes.Graphemes`."""
    out = np.empty(len(position), np.int64)
    row, edge = 0, 0
    for i in range(len(position)):
        while row < len(plain) and position[i] >= row_edges[row + 1]:
            row += 1
        if row == len(plain):
            out[i] = first[row]
        elif plain[row]:
            out[i] = first[row] + position[i] - row_edges[row]
        else:
            edge = max(edge, first_edge[row])
            while edge < first_edge[row + 1] and edges[edge] < position[i]:
                edge += 1
            out[i] = first[row] + edge - first_edge[row]
    return out


@kernel(U8_IN, U8_IN, I64_IN)
def runs(data: Bytes, table: Bytes, bounds: I64) -> tuple[I64, I64]:
    """The starts and ends of maximal runs of bytes that the table marks with 1; none crosses a bound."""
    edges = np.empty(len(data) + len(bounds) + 1, np.int64)
    count = 0
    for cell in range(len(bounds) - 1):
        before: Any = uint8(0)
        for i in range(bounds[cell], bounds[cell + 1]):
            here = table[data[i]]
            edges[count] = i  # kept where a run begins or ends, else overwritten by the next: no branch
            count += here ^ before
            before = here
        edges[count] = bounds[cell + 1]
        count += before
    start, end = np.empty(count // 2, np.int64), np.empty(count // 2, np.int64)
    for i in range(count // 2):
        start[i], end[i] = edges[2 * i], edges[2 * i + 1]
    return start, end


@kernel(U8_IN, WORDS_IN, I64_IN)
def plain(data: Bytes, words: U64, bounds: I64) -> Bytes:
    """1 for each row data[bounds[i]:bounds[i + 1]] of ASCII without carriage returns, else 0."""
    high, ones = uint64(0x8080808080808080), uint64(0x0101010101010101)
    out = np.empty(len(bounds) - 1, np.uint8)
    for row in range(len(out)):
        at, end = bounds[row], bounds[row + 1]
        odd = uint64(0)
        while at + 8 <= end:
            word = words[at]
            other = word ^ (ones * uint64(0x0D))  # a byte of 0 where there is a carriage return
            odd |= (word | ((other - ones) & ~other)) & high
            at += 8
        for i in range(at, end):
            odd |= uint64((data[i] >= 0x80) | (data[i] == 0x0D))
        out[row] = odd == uint64(0)
    return out
