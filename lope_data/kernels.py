"""The loops that run once for each byte or edit, compiled by Numba: draws, distinct places, splices, words.

Each does in one pass what takes ten or more in NumPy, which is what sets the speed here (docs/results.md). They are
compiled when this module is first imported on a machine (some seconds) and kept beside it, as Python does with `.pyc`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import int64, types, uint8, uint64

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

F = TypeVar("F", bound=Callable[..., Any])

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _reads(kind: Any) -> Any:
    """The type of an array that is only read; it takes writable ones too."""
    return types.Array(kind, 1, "C", readonly=True)


_U8, _U64, _I64 = _reads(uint8), _reads(uint64), _reads(int64)


def kernel(*signature: Any) -> Callable[[F], F]:
    """Compiles a function for one signature, and keeps what was compiled where that is possible."""

    def decorate(function: F) -> F:
        try:
            compiled: Any = numba.njit(signature, cache=True)(function)
        except RuntimeError:  # no folder to keep it in can be written
            compiled = numba.njit(signature)(function)
        return cast("F", compiled)

    return decorate


@kernel(uint64)
def mixed(x: Any) -> Any:
    """SplitMix64's finaliser."""
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@kernel(_U8, _I64)
def text_keys(data: Bytes, bounds: I64) -> U64:
    """64 bits from each text data[bounds[i]:bounds[i + 1]]: a multiply and a shift for each eight bytes, each of which
    can be undone, so that texts of one length that differ in one place differ in their keys.
    """
    out = np.empty(len(bounds) - 1, np.uint64)
    for row in range(len(out)):
        at, end = bounds[row], bounds[row + 1]
        key = uint64(end - at) * _GOLDEN
        while at < end:
            word = uint64(0)
            if at + 8 <= end:
                for j in range(8):
                    word |= uint64(data[at + j]) << uint64(8 * j)
            else:
                for j in range(end - at):
                    word |= uint64(data[at + j]) << uint64(8 * j)
            key = (key ^ word) * uint64(0xD6E8FEB86659FD93)
            key ^= key >> uint64(32)
            at += 8
        out[row] = mixed(key)
    return out


@kernel(_U64, _I64, _I64, _I64, _I64)
def draws_below(keys: U64, row: I64, index: I64, first: I64, bound: I64) -> I64:
    """`rng.Draw.below` for each (row, index - first[row]); `bound` holds one number, or one for each."""
    out = np.empty(len(row), np.int64)
    for i in range(len(row)):
        bits = mixed(keys[row[i]] + uint64(index[i] - first[row[i]] + 1) * _GOLDEN)
        limit = uint64(bound[0] if len(bound) == 1 else bound[i])
        out[i] = int64(((bits >> uint64(32)) * limit) >> uint64(32))
    return out


@kernel(_U8, _I64, _I64, _U64, _I64, _I64, _I64, _I64, _I64)
def variants(
    data: Bytes, start: I64, end: I64, keys: U64, row: I64, index: I64, first: I64, count: I64, first_variant: I64
) -> I64:
    """For each hit a variant drawn among the count[b] ones from first_variant[b] on, b being its byte, or 255 for a hit
    of several bytes. What is drawn is `draws_below`.
    """
    out = np.empty(len(row), np.int64)
    for i in range(len(row)):
        byte = int64(data[start[i]]) if end[i] - start[i] == 1 else 255
        bits = mixed(keys[row[i]] + uint64(index[i] - first[row[i]] + 1) * _GOLDEN)
        out[i] = first_variant[byte] + int64(((bits >> uint64(32)) * uint64(count[byte])) >> uint64(32))
    return out


@kernel(uint64)
def _lowest(x: Any) -> Any:
    """The place of the lowest bit that is set: the bits below it, counted."""
    x = (x & (~x + uint64(1))) - uint64(1)
    x -= (x >> uint64(1)) & uint64(0x5555555555555555)
    x = (x & uint64(0x3333333333333333)) + ((x >> uint64(2)) & uint64(0x3333333333333333))
    x = (x + (x >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
    return int64((x * uint64(0x0101010101010101)) >> uint64(56))


@kernel(_U64, _I64, _I64, _I64)
def distinct(keys: U64, first: I64, k: I64, where: I64) -> I64:
    """For each row i the first k[i] distinct of its draws below n = first[i + 1] - first[i], ascending, plus first[i];
    where k is more than half of n, all but the first n - k distinct. Those of row i begin at where[i].
    """
    out = np.empty(where[-1], np.int64)
    widest = 0
    for i in range(len(k)):
        widest = max(widest, first[i + 1] - first[i])
    taken = np.zeros(widest // 64 + 1, np.uint64)
    for i in range(len(k)):
        n = first[i + 1] - first[i]
        dense = 2 * k[i] > n
        missing = n - k[i] if dense else k[i]
        if k[i] == 0:
            continue
        state = keys[i]
        while missing:
            state += _GOLDEN
            place = ((mixed(state) >> uint64(32)) * uint64(n)) >> uint64(32)
            bit = uint64(1) << (place & uint64(63))
            if not taken[place >> uint64(6)] & bit:
                taken[place >> uint64(6)] |= bit
                missing -= 1
        at = where[i]
        for word in range((n + 63) // 64):
            left = taken[word]
            taken[word] = 0
            if dense:
                left = ~left
                if 64 * word + 64 > n:
                    left &= (uint64(1) << uint64(n & 63)) - uint64(1)
            while left:
                out[at] = first[i] + 64 * word + _lowest(left)
                at += 1
                left &= left - uint64(1)
    return out


@kernel(_U8, _I64, _I64, int64)
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


@kernel(_U8, _I64, _I64, _I64, _U8)
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
    grown = 0
    for i in range(len(start)):
        for j in range(offsets[i], offsets[i + 1]):
            out[start[i] + grown + j - offsets[i]] = after[j]
        grown += offsets[i + 1] - offsets[i] - (end[i] - start[i])
    return out


@kernel(_U8, _I64, _I64, _I64, _U8)
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
    grown = 0
    for i in range(len(start)):
        for j in range(offsets[i], offsets[i + 1]):
            out[start[i] + grown + j - offsets[i]] = after[j]
        grown += offsets[i + 1] - offsets[i] - (end[i] - start[i])
    return out


@kernel(_U8, _I64, _I64, _I64, _U8)
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


@kernel(_I64, _I64, _I64, _I64, _I64)
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


@kernel(_U8, _U8)
def marked(data: Bytes, table: Bytes) -> I64:
    """The places i where table[data[i]] is 1 (and not 0)."""
    out = np.empty(len(data) + 1, np.int64)
    count = 0
    for i in range(len(data)):
        out[count] = i
        count += table[data[i]]
    return out[:count]


@kernel(_U8, _U8, _I64, _U8)
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


@kernel(_I64, int64, _I64, _I64, _U8, _I64, _I64)
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


@kernel(_I64, _I64, _I64, _U8, _I64, _I64)
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


@kernel(_U8, _I64, _I64)
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


@kernel(_U8, _U8, _I64)
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


@kernel(_U8, _I64)
def plain(data: Bytes, bounds: I64) -> Bytes:
    """1 for each row data[bounds[i]:bounds[i + 1]] of ASCII without carriage returns, else 0; quick for the others."""
    out = np.ones(len(bounds) - 1, np.uint8)
    for row in range(len(out)):
        for i in range(bounds[row], bounds[row + 1]):
            if data[i] >= 0x80 or data[i] == 0x0D:
                out[row] = 0
                break
    return out


@kernel(_U8, int64, int64, int64)
def _differ(data: Bytes, low: int, middle: int, high: int) -> bool:
    """Whether data[low:middle] and data[middle:high] differ."""
    same = middle - low == high - middle
    j = 0
    while same and j < middle - low:
        same = data[low + j] == data[middle + j]
        j += 1
    return not same


@kernel(_U8, _I64, _I64, _U8, _I64, _I64)
def count_pairs(data: Bytes, bounds: I64, row_bounds: I64, plain: Bytes, edges: I64, first_edge: I64) -> I64:
    """For each row, how many graphemes differ from the one after them in their cell; see `graphemes.Graphemes`."""
    out = np.zeros(len(plain), np.int64)
    for row in range(len(plain)):
        edge = first_edge[row]
        for cell in range(row_bounds[row], row_bounds[row + 1]):
            end = bounds[cell + 1]
            if plain[row]:
                count = 0
                for i in range(bounds[cell], end - 1):
                    count += data[i] != data[i + 1]
                out[row] += count
                continue
            while edge < first_edge[row + 1] and edges[edge] < end:
                middle = edges[edge + 1] if edge + 1 < first_edge[row + 1] else end
                high = edges[edge + 2] if edge + 2 < first_edge[row + 1] else end
                out[row] += middle < end and _differ(data, edges[edge], middle, min(high, end))
                edge += 1
    return out


@kernel(_U8, _I64, _I64, _U8, _I64, _I64, _I64, _I64)
def find_pairs(
    data: Bytes,
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


@kernel(_U8, _I64, _I64, _I64)
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


@kernel(_U8, _I64, _I64, _I64, _I64)
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


@kernel(_U8, _I64, _I64, _U8)
def trimmed(data: Bytes, start: I64, end: I64, table: Bytes) -> tuple[I64, I64]:
    """The spans without the bytes at either end that the table marks with 1; empty where it marks all of them."""
    low, high = start.copy(), end.copy()
    for i in range(len(start)):
        while low[i] < high[i] and table[data[low[i]]]:
            low[i] += 1
        while low[i] < high[i] and table[data[high[i] - 1]]:
            high[i] -= 1
    return low, high


@kernel(_U8, int64, int64)
def _folded(data: Bytes, start: int, end: int) -> Any:
    """A hash of data[start:end] in lower case (ASCII's)."""
    key = uint64(end - start)
    for low in range(start, end, 8):
        word = uint64(0)
        for i in range(low, min(low + 8, end)):
            byte = data[i]
            byte |= 0x20 * (0x41 <= byte <= 0x5A)
            word |= uint64(byte) << uint64(8 * (i - low))
        key = (key ^ word) * uint64(0xD6E8FEB86659FD93)
        key ^= key >> uint64(32)
    return key


@kernel(_U8, _I64)
def word_table(words: Bytes, offsets: I64) -> I64:
    """A hash table of words, distinct and in lower case: the number of a word at its hash or after it, else -1."""
    size = 4
    while size < 4 * len(offsets):
        size *= 2
    table = np.full(size, -1, np.int64)
    for word in range(len(offsets) - 1):
        at = _folded(words, offsets[word], offsets[word + 1]) & uint64(size - 1)
        while table[at] >= 0:
            at = (at + uint64(1)) & uint64(size - 1)
        table[at] = word
    return table


@kernel(_U8, _I64, _I64, _U8, _I64, _I64)
def word_numbers(data: Bytes, start: I64, end: I64, words: Bytes, offsets: I64, table: I64) -> I64:
    """The number in `word_table` of each data[start[i]:end[i]], whatever its case, or -1."""
    out = np.full(len(start), -1, np.int64)
    last = uint64(len(table) - 1)
    for i in range(len(start)):
        size = end[i] - start[i]
        at = _folded(data, start[i], end[i]) & last
        while table[at] >= 0 and out[i] < 0:
            word = table[at]
            same = offsets[word + 1] - offsets[word] == size
            j = 0
            while same and j < size:
                byte = data[start[i] + j]
                byte |= 0x20 * (0x41 <= byte <= 0x5A)
                same = byte == words[offsets[word] + j]
                j += 1
            if same:
                out[i] = word
            at = (at + uint64(1)) & last
    return out
