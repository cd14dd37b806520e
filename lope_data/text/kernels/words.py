"""Words looked up whatever their case."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from lope_data.text.kernels.compiling import I64, I64_IN, U8_IN, Bytes, kernel


@kernel(U8_IN, I64_IN, I64_IN, U8_IN)
def trimmed(data: Bytes, start: I64, end: I64, table: Bytes) -> tuple[I64, I64]:
    """The spans without the bytes at either end that the table marks with 1; empty where it marks all of them."""
    low, high = start.copy(), end.copy()
    for i in range(len(start)):
        while low[i] < high[i] and table[data[low[i]]]:
            low[i] += 1
        while low[i] < high[i] and table[data[high[i] - 1]]:
            high[i] -= 1
    return low, high


@kernel(U8_IN, int64, int64)
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


@kernel(U8_IN, I64_IN)
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


@kernel(U8_IN, I64_IN, I64_IN, U8_IN, I64_IN, I64_IN)
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
