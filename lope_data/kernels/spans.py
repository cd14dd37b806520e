"""Finding spans: marked bytes, runs, graphemes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint8

from lope_data.kernels.compiling import I64, I64_IN, U8_IN, Bytes, kernel


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


@kernel(I64_IN, int64, I64_IN, I64_IN, U8_IN, I64_IN, I64_IN)
def grapheme_edges(index: I64, side: int, first: I64, row_edges: I64, plain: Bytes, edges: I64, first_edge: I64) -> I64:
    """Where graphemes with these numbers, ascending, begin (`side` 0) or end (1); see `graphemes.Graphemes`."""
    out = np.empty(len(index), np.int64)
    row = 0
    for i in range(len(index)):
        while index[i] >= first[row + 1]:
            row += 1
        number = index[i] - first[row] + side
        if plain[row]:
            out[i] = row_edges[row] + number
        elif first_edge[row] + number < first_edge[row + 1]:
            out[i] = edges[first_edge[row] + number]
        else:
            out[i] = row_edges[row + 1]
    return out


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


@kernel(U8_IN, I64_IN)
def plain(data: Bytes, bounds: I64) -> Bytes:
    """1 for each row data[bounds[i]:bounds[i + 1]] of ASCII without carriage returns, else 0; quick for the others."""
    out = np.ones(len(bounds) - 1, np.uint8)
    for row in range(len(out)):
        for i in range(bounds[row], bounds[row + 1]):
            if data[i] >= 0x80 or data[i] == 0x0D:
                out[row] = 0
                break
    return out
