"""Putting what rows hold in a row of bytes each, which their ids are hashes of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, types

from lope_data.text.kernels.compiling import (
    HIGH,
    I64,
    I64_IN,
    ONES,
    U8_IN,
    U8_OUT,
    WORDS_IN,
    WORDS_OUT,
    Bytes,
    kernel,
    part_of_kernels,
)

_COLONS = np.uint64(0x3A3A3A3A3A3A3A3A)
_I64_OUT = types.Array(int64, 1, "C")


@part_of_kernels
def _digits(number: int) -> int:
    count = 1
    while number >= 10:
        number //= 10
        count += 1
    return count


@kernel(I64_IN, U8_IN, int64, _I64_OUT)
def add_sizes(offsets: I64, valid: Bytes, fixed: int, sizes: I64) -> None:
    """Adds to `sizes` the bytes that `put_cells` writes for each row, behind so many that are `fixed`."""
    for i in range(len(sizes)):
        if valid[i]:
            size = offsets[i + 1] - offsets[i]
            sizes[i] += fixed + _digits(size) + size


@kernel(U8_OUT, WORDS_OUT, _I64_OUT, U8_IN, I64_IN, U8_IN, WORDS_IN, U8_IN, U8_OUT)
def put_cells(
    out: Bytes,
    out_words: Any,
    at: I64,
    before: Bytes,
    offsets: I64,
    data: Bytes,
    words: Any,
    valid: Bytes,
    marked: Bytes,
) -> None:
    """Writes the texts of a column, each after `before` and its number of bytes, to `out`: from `at` on, which is moved
    on. A text that holds `=:` sets `marked`. The `words` of `out` and `data` are their eight bytes from each place on.
    """
    for i in range(len(at)):
        if not valid[i]:
            continue
        place, high = offsets[i], offsets[i + 1]
        to = at[i]
        for j in range(len(before)):
            out[to + j] = before[j]
        to += len(before)
        size = high - place
        count = _digits(size)
        for j in range(count - 1, -1, -1):
            out[to + j] = 48 + size % 10
            size //= 10
        to += count
        colon = False
        while place + 8 <= high:
            word = words[place]
            out_words[to] = word
            other = word ^ _COLONS
            colon |= ((other - ONES) & ~other & HIGH) != 0
            place += 8
            to += 8
        while place < high:
            out[to] = data[place]
            colon |= data[place] == 58
            place += 1
            to += 1
        if colon:
            for j in range(offsets[i] + 1, high):
                if data[j] == 58 and data[j - 1] == 61:
                    marked[i] = 1
        at[i] = to
