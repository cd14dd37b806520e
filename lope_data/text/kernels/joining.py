"""Putting what rows hold in a row of bytes each, which their ids are hashes of."""

from __future__ import annotations

from numba import int64, types, uint8

from lope_data.text.kernels.compiling import I64, I64_IN, U8_IN, U8_OUT, Bytes, kernel

_I64_OUT = types.Array(int64, 1, "C")


@kernel(int64)
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


@kernel(U8_OUT, _I64_OUT, U8_IN, I64_IN, U8_IN, U8_IN, U8_OUT)
def put_cells(out: Bytes, at: I64, before: Bytes, offsets: I64, data: Bytes, valid: Bytes, marked: Bytes) -> None:
    """Writes the texts of a column, each after `before` and its number of bytes, to `out`: from `at` on, which is moved
    on. A text that holds `=:` sets `marked`.
    """
    for i in range(len(at)):
        if not valid[i]:
            continue
        low, high = offsets[i], offsets[i + 1]
        to = at[i]
        for j in range(len(before)):
            out[to + j] = before[j]
        to += len(before)
        size = high - low
        count = _digits(size)
        for j in range(count - 1, -1, -1):
            out[to + j] = 48 + size % 10
            size //= 10
        to += count
        for j in range(high - low):
            out[to + j] = data[low + j]
        found = uint8(0)
        for j in range(low + 1, high):
            found |= (data[j] == 58) & (data[j - 1] == 61)
        marked[i] |= found
        at[i] = to + high - low
