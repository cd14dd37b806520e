"""Which examples share a sequence: best fit decreasing over their lengths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Packs(NamedTuple):
    """Pack i holds the examples `members[offsets[i] : offsets[i + 1]]`."""

    members: Ints
    """(n,) every example once, ascending within a pack."""
    offsets: Ints
    """(packs + 1,), from 0 to n."""


def pack(lengths: npt.NDArray[np.integer], max_length: int) -> Packs:
    """Packs of at most `max_length` tokens for examples of `lengths` (n,), in the order of their first examples.

    Each example, the longest first, goes where the least room is left over. Ties are settled by order, so the same
    lengths give the same packs. Raises ValueError where a length is not in 1..max_length.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if sizes.size and not 1 <= sizes.min() <= sizes.max() <= max_length:
        raise ValueError(f"lengths from {sizes.min()} to {sizes.max()} do not fit packs of {max_length} tokens")
    by_size = np.argsort(-sizes, kind="stable")
    pack_of = np.empty_like(sizes)
    pack_of[by_size] = _best_fit(sizes[by_size].tolist(), max_length)
    _, first, pack_of = np.unique(pack_of, return_index=True, return_inverse=True)
    pack_of = np.argsort(np.argsort(first))[pack_of]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pack_of))])
    return Packs(np.argsort(pack_of, kind="stable"), offsets.astype(np.int64))


def positions(lengths: npt.NDArray[np.integer]) -> Ints:
    """Of examples that stand one after the other, the place of each token in its own: 0, 1, ... for each length."""
    ends = np.cumsum(lengths, dtype=np.int64)
    places: Ints = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    return places


def _best_fit(sizes: list[int], max_length: int) -> list[int]:
    """The pack of each size, in the order given; packs are numbered as they are opened."""
    by_room: list[list[int]] = [[] for _ in range(max_length + 1)]
    rooms = 0  # bit r is set where a pack has room r: the lowest fitting one is found without a search
    opened = 0
    chosen = []
    for size in sizes:
        if fitting := rooms >> size:
            room = size + (fitting & -fitting).bit_length() - 1
            number = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
        else:
            room, number = max_length, opened
            opened += 1
        if left := room - size:
            by_room[left].append(number)
            rooms |= 1 << left
        chosen.append(number)
    return chosen
