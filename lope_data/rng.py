"""Keyed, counter-based randomness: every draw is a pure function of its key, so no order can change it.

A draw is `mix(mix(row ^ context) + (counter + 1) * GOLDEN)` with SplitMix64's finaliser and increment (Steele, Lea and
Flood 2014). `row` is the XXH3-64 hash of the row id, `context` a BLAKE2b hash of (seed, chain depth, step, op,
purpose).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

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
    return _mixed(x.copy())


def _mixed(x: U64) -> U64:
    """The same in place: these passes are most of what a draw costs."""
    y = x >> np.uint64(30)
    x ^= y
    x *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(x, np.uint64(27), out=y)
    x ^= y
    x *= np.uint64(0x94D049BB133111EB)
    np.right_shift(x, np.uint64(31), out=y)
    x ^= y
    return x


def row_hashes(row_ids: pa.Array | pa.ChunkedArray) -> U64:
    """The XXH3-64 hash of each row id, shape (rows,)."""
    return np.fromiter(
        map(xxhash.xxh3_64_intdigest, row_ids.cast(pa.large_binary()).to_pylist()), np.uint64, len(row_ids)
    )


def _scaled(bits: U64, bound: I64 | int) -> I64:
    bits >>= np.uint64(32)
    bits *= np.asarray(bound).astype(np.uint64)
    bits >>= np.uint64(32)
    return bits.view(np.int64)


@dataclass(frozen=True)
class Draw:
    """The random numbers of one (seed, depth, step, op) for a batch of rows; `rows` holds their hashes."""

    context: tuple[str | int, ...]
    rows: U64

    def bits(self, purpose: str, row: I64 | None = None, counter: I64 | int = 0, origin: I64 | None = None) -> U64:
        """64 random bits for each (row, counter); `row` indexes the batch and defaults to every row once.

        Args:
            origin: where each row's counters begin, shape (rows,), if not at 0: bits of (row, counter - origin[row]).
        """
        if row is not None and len(row) < len(self.rows):
            origin = None if origin is None else origin[row]
            keys = replace(self, rows=self.rows[row])._keys(purpose, origin)
        else:
            keys = self._keys(purpose, origin)
            keys = keys if row is None else keys[row]
        steps = np.asarray(counter).astype(np.uint64)
        steps += np.uint64(1)
        steps *= _GOLDEN
        return _mixed(keys + steps)

    def stream(self, purpose: str, counts: I64) -> U64:
        """`bits` of the counters 0 to counts[i] - 1 of each row, one row after the other."""
        x = np.repeat(self._keys(purpose, np.cumsum(counts) - counts), counts)
        x += np.arange(1, len(x) + 1, dtype=np.uint64) * _GOLDEN
        return _mixed(x)

    def _keys(self, purpose: str, origin: I64 | None) -> U64:
        keys = mix(self.rows ^ np.uint64(context_key(*self.context, purpose)))
        return keys if origin is None else keys - origin.astype(np.uint64) * _GOLDEN

    def below(
        self,
        bound: I64 | int,
        purpose: str,
        row: I64 | None = None,
        counter: I64 | int = 0,
        origin: I64 | None = None,
    ) -> I64:
        """Uniform integers in [0, bound), bound < 2**32, by multiply-shift (bias below 2**-32 * bound)."""
        return _scaled(self.bits(purpose, row, counter, origin), bound)

    def unit(self, purpose: str, row: I64 | None = None, counter: I64 | int = 0) -> npt.NDArray[np.float64]:
        """Uniform floats in [0, 1) with 53 random bits."""
        return (self.bits(purpose, row, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(draw: Draw, n: I64, k: I64, purpose: str) -> tuple[I64, I64]:
    """For each row i, k[i] distinct integers of range(n[i]), k[i] <= n[i], every subset equally likely.

    Candidates are drawn by counter and those met before are passed over; a row that takes more than half is drawn by
    what it leaves. So the work grows with k, not with n.

    Returns:
        (row, position), sorted by row, then position; positions count on from row to row, as if all ranges were one.
    """
    dense = 2 * k > n
    first = np.concatenate(([0], np.cumsum(n)))
    wanted = np.where(dense, n - k, k)
    row = np.repeat(np.arange(len(k)), wanted)
    flat = _scaled(draw.stream(purpose, wanted), np.repeat(n, wanted))
    flat += np.repeat(first[:-1], wanted)
    flat = _sorted(flat, first[-1])  # rows stay in order, so `row` still says whose each is
    again = np.flatnonzero(flat[1:] == flat[:-1]) + 1
    if len(again):
        flat = _refill(draw, n, purpose, first, wanted, flat, again, row[again])
    if dense.any():
        taken = np.zeros(first[-1], np.bool_)
        taken[flat] = True
        taken ^= np.repeat(dense, n)
        flat = np.flatnonzero(taken)
        row = np.repeat(np.arange(len(k)), k)
    return row, flat


def _sorted(flat: I64, total: int) -> I64:
    """The positions below `total` in order; half as wide numbers sort twice as fast."""
    if total >= 2**31:
        return np.sort(flat)
    return np.sort(flat.astype(np.int32)).astype(np.int64)


def _refill(draw: Draw, n: I64, purpose: str, first: I64, used: I64, flat: I64, again: I64, rows_again: I64) -> I64:
    """The sorted draws with those at `again`, which repeat others, replaced by further ones."""
    taken = np.zeros(first[-1], np.bool_)
    taken[flat] = True
    parts, used = [np.delete(flat, again)], used.copy()
    rows, missing = _runs(rows_again)
    while len(rows):
        row = np.repeat(rows, missing)
        fresh = first[row] + draw.below(n[row], purpose, row, ranges(missing) + np.repeat(used[rows], missing))
        used[rows] += missing
        fresh.sort()
        new = ~taken[fresh]
        new[1:] &= fresh[1:] != fresh[:-1]
        taken[fresh[new]] = True
        parts.append(fresh[new])
        rows, missing = _runs(row[~new])
    return np.sort(np.concatenate(parts), kind="stable")


def _runs(values: I64) -> tuple[I64, I64]:
    """Each of the ascending values once, and how often it stands there."""
    first = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1]))[: len(values)])
    return values[first], np.diff(np.append(first, len(values)))


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
