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

from lope_data.text import kernels

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

    def keys(self, purpose: str) -> U64:
        """The state of each row's counter before its first step, shape (rows,)."""
        return mix(self.rows ^ np.uint64(context_key(*self.context, purpose)))

    def bits(self, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> U64:
        """64 random bits for each (row, counter); `row` indexes the batch and defaults to every row once."""
        keys = self.keys(purpose) if row is None else self.keys(purpose)[row]
        return mix(keys + (np.asarray(counter).astype(np.uint64) + np.uint64(1)) * _GOLDEN)

    def below(self, bound: I64 | int, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> I64:
        """Uniform integers in [0, bound), bound < 2**32, by multiply-shift (bias below 2**-32 * bound)."""
        high = self.bits(purpose, row, counter) >> np.uint64(32)
        return ((high * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def unit(self, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> npt.NDArray[np.float64]:
        """Uniform floats in [0, 1) with 53 random bits."""
        return (self.bits(purpose, row, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(draw: Draw, n: I64, k: I64, purpose: str) -> tuple[I64, I64]:
    """For each row i, k[i] distinct integers of range(n[i]), k[i] <= n[i], every subset equally likely.

    Candidates are drawn by counter and those met before are passed over; a row that takes more than half is drawn by
    what it leaves. So the work grows with k, but for one bit a unit.

    Returns:
        (row, position), sorted by row, then position; positions count on from row to row, as if all ranges were one.
    """
    first = np.concatenate(([0], np.cumsum(n)))
    where = np.concatenate(([0], np.cumsum(k)))
    return np.repeat(np.arange(len(k)), k), kernels.distinct(draw.keys(purpose), first, k, where)


def choose_apart(draw: Draw, n: I64, k: I64, purpose: str) -> tuple[I64, I64]:
    """As `choose`, but no two positions of a row are neighbours; k[i] <= (n[i] + 1) // 2.

    Such subsets are in bijection with those of n - k + 1: the j-th position, counted from 0, moves up by j.
    """
    narrowed = np.maximum(k - 1, 0)
    row, flat = choose(draw, n - narrowed, k, purpose)
    shift = np.concatenate(([0], np.cumsum(narrowed)))[:-1]
    return row, flat + shift[row] + ranges(k)


def choose_last(draw: Draw, n: I64, k: I64, purpose: str) -> tuple[I64, I64]:  # noqa: ARG001
    """As `choose`, but the last k[i] positions of each row."""
    ends = np.cumsum(n)
    row = np.repeat(np.arange(len(k)), k)
    return row, (ends - k)[row] + ranges(k)


def ranges(counts: I64) -> I64:
    """[0..counts[0]), [0..counts[1]), ... in one array."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def ordered(first: U64, then: U64) -> I64:
    """The places of all entries by `first`, and where that is equal by `then`: `np.lexsort((then, first))`, but only
    ties are looked at twice.
    """
    order = np.argsort(first)
    keys = first[order]
    same = np.append(keys[1:] == keys[:-1], False)
    tied = np.flatnonzero(same | np.append(False, same[:-1]))
    if len(tied):
        mine = order[tied]
        order[tied] = mine[np.lexsort((mine, then[mine], first[mine]))]
    return order
