"""Keyed, counter-based randomness: every draw is a pure function of its key, so no order can change it.

A draw is `mix(mix(row ^ context) + (counter + 1) * GOLDEN)` with SplitMix64's finaliser and increment (Steele, Lea and
Flood 2014). `row` is the XXH3-64 hash of the row id, `context` a BLAKE2b hash of (seed, chain depth, step, op,
purpose).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def context_key(*parts: str | int) -> int:
    """64 bits from the parts; each is framed by its type and length, so ("ab", "c") differs from ("a", "bc")."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        text = str(part).encode()
        digest.update(f"{type(part).__name__}:{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest(), "little")


def mix(x: U64) -> U64:
    """SplitMix64's finaliser, elementwise."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def row_hashes(row_ids: pa.Array | pa.ChunkedArray) -> U64:
    """The XXH3-64 hash of each row id, shape (rows,)."""
    return np.fromiter(
        map(xxhash.xxh3_64_intdigest, row_ids.cast(pa.large_binary()).to_pylist()), np.uint64, len(row_ids)
    )


@dataclass(frozen=True)
class Draw:
    """The random numbers of one (seed, depth, step, op) for a batch of rows; `rows` holds their hashes."""

    context: tuple[str | int, ...]
    rows: U64

    def take(self, indices: I64) -> Draw:
        """The same numbers for a subset of the rows."""
        return Draw(self.context, self.rows[indices])

    def bits(self, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> U64:
        """64 random bits for each (row, counter); `row` indexes the batch and defaults to every row once."""
        keys = self.rows if row is None else self.rows[row]
        counters = np.asarray(counter).astype(np.uint64) + np.uint64(1)
        return mix(mix(keys ^ np.uint64(context_key(*self.context, purpose))) + counters * _GOLDEN)

    def below(self, bound: I64 | int, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> I64:
        """Uniform integers in [0, bound), bound < 2**32, by multiply-shift (bias below 2**-32 * bound)."""
        high = self.bits(purpose, row, counter) >> np.uint64(32)
        return ((high * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def unit(self, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> npt.NDArray[np.float64]:
        """Uniform floats in [0, 1) with 53 random bits."""
        return (self.bits(purpose, row, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(draw: Draw, n: I64, k: I64, purpose: str, gap: int = 1) -> tuple[I64, I64]:
    """For each row i, k[i] distinct integers of range(n[i]), each subset equally likely when `gap` is 1.

    Candidates are drawn by counter and rejected when taken (with gap 2: or beside one taken), so the work grows with
    k, not with n. With gap 2 a crowded row may jam below k[i]; the caller sees it in the count.

    Returns:
        (row, position), sorted by row, then position.
    """
    if gap == 1:  # dense rows are drawn by what stays, so that rejection stays rare
        dense = 2 * k > n
        row, position = _reject(draw, n, np.where(dense, n - k, k), purpose, gap)
        return _invert(row, position, n, dense) if dense.any() else (row, position)
    return _reject(draw, n, k, purpose, gap)


def _reject(draw: Draw, n: I64, k: I64, purpose: str, gap: int) -> tuple[I64, I64]:
    stride = np.concatenate(([0], np.cumsum(n + gap)))  # the room between rows keeps neighbours apart
    taken = np.empty(0, np.int64)
    missing, used = k.copy(), np.zeros_like(k)
    for _ in range(64):
        open_rows = np.flatnonzero(missing > 0)
        if not len(open_rows):
            break
        count = missing[open_rows]
        row = np.repeat(open_rows, count)
        counter = used[row] + ranges(count)
        used[open_rows] += count
        flat = stride[row] + draw.below(n[row], purpose, row, counter)
        new = np.unique(flat)
        if gap > 1:
            new = _apart(new, gap)
        new = new[_free(new, taken, gap)]
        taken = np.sort(np.concatenate((taken, new))) if len(taken) else np.sort(new)
        row_of_taken = np.searchsorted(stride, taken, side="right") - 1
        missing = k - np.bincount(row_of_taken, minlength=len(k))
    row = np.searchsorted(stride, taken, side="right") - 1
    return row, taken - stride[row]


def ranges(counts: I64) -> I64:
    """[0..counts[0]), [0..counts[1]), ... in one array."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _apart(flat: I64, gap: int) -> I64:
    """Drops, from sorted candidates, those nearer than `gap` to the one kept before them."""
    while True:
        near = np.flatnonzero(np.diff(flat) < gap) + 1
        if not len(near):
            return flat
        first_of_run = near[np.concatenate(([True], np.diff(near) > 1))]
        flat = np.delete(flat, first_of_run)


def _free(new: I64, taken: I64, gap: int) -> npt.NDArray[np.bool_]:
    if not len(taken):
        return np.ones(len(new), np.bool_)
    after = np.searchsorted(taken, new)
    left = np.where(after > 0, new - taken[np.maximum(after - 1, 0)], gap)
    right = np.where(after < len(taken), taken[np.minimum(after, len(taken) - 1)] - new, gap)
    return (left >= gap) & (right >= gap)


def _invert(row: I64, position: I64, n: I64, dense: npt.NDArray[np.bool_]) -> tuple[I64, I64]:
    """Complements the chosen positions in dense rows."""
    first = np.concatenate(([0], np.cumsum(n)))
    keep = np.repeat(dense, n)
    flat = first[row] + position
    keep[flat] = ~dense[row]
    chosen = np.flatnonzero(keep)
    row = np.searchsorted(first, chosen, side="right") - 1
    return row, chosen - first[row]
