"""Draws: hashes of texts, numbers for hits, distinct places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from lope_data.text.kernels.compiling import GOLDEN, I64, I64_IN, U8_IN, U64, U64_IN, WORDS_IN, Bytes, kernel, mixed


@kernel(U8_IN, WORDS_IN, I64_IN)
def text_keys(data: Bytes, words: U64, bounds: I64) -> U64:
    """64 bits from each text data[bounds[i]:bounds[i + 1]]: a multiply and a shift for each eight bytes, each of which
    can be undone, so that texts of one length that differ in one place differ in their keys.
    """
    out = np.empty(len(bounds) - 1, np.uint64)
    for row in range(len(out)):
        at, end = bounds[row], bounds[row + 1]
        key = uint64(end - at) * GOLDEN
        while at + 8 <= end:
            key = (key ^ words[at]) * uint64(0xD6E8FEB86659FD93)
            key ^= key >> uint64(32)
            at += 8
        word = uint64(0)
        for j in range(end - at):
            word |= uint64(data[at + j]) << uint64(8 * j)
        out[row] = mixed((key ^ word) * uint64(0xD6E8FEB86659FD93))
    return out


@kernel(U64_IN, I64_IN, I64_IN, I64_IN, I64_IN)
def draws_below(keys: U64, row: I64, index: I64, first: I64, bound: I64) -> I64:
    """`rng.Draw.below` for each (row, index - first[row]); `bound` holds one number, or one for each."""
    out = np.empty(len(row), np.int64)
    for i in range(len(row)):
        bits = mixed(keys[row[i]] + uint64(index[i] - first[row[i]] + 1) * GOLDEN)
        limit = uint64(bound[0] if len(bound) == 1 else bound[i])
        out[i] = int64(((bits >> uint64(32)) * limit) >> uint64(32))
    return out


@kernel(U8_IN, I64_IN, I64_IN, U64_IN, I64_IN, I64_IN, I64_IN, I64_IN, I64_IN)
def variants(
    data: Bytes, start: I64, end: I64, keys: U64, row: I64, index: I64, first: I64, count: I64, first_variant: I64
) -> I64:
    """For each hit a variant drawn among the count[b] ones from first_variant[b] on, b being its byte, or 255 for a hit
    of several bytes. What is drawn is `draws_below`.
    """
    out = np.empty(len(row), np.int64)
    for i in range(len(row)):
        byte = int64(data[start[i]]) if end[i] - start[i] == 1 else 255
        bits = mixed(keys[row[i]] + uint64(index[i] - first[row[i]] + 1) * GOLDEN)
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


@kernel(U64_IN, I64_IN, I64_IN, I64_IN)
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
            state += GOLDEN
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
