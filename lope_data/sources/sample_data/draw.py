"""Keyed choices: what a row holds depends on its key alone, on every machine and Python."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, TypeVar

Split = Literal["train", "heldout"]
Row = dict[str, Any]
T = TypeVar("T")

HELDOUT_EVERY = 5


class Draw:
    """A stream of choices keyed by a split and a name: a counter, hashed."""

    def __init__(self, split: Split, name: str) -> None:
        self.split = split
        self._key = f"{split}/{name}/".encode()
        self._count = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1, uniform up to bound / 2**64."""
        self._count += 1
        digest = blake2b(self._key + self._count.to_bytes(4, "big"), digest_size=8).digest()
        return int.from_bytes(digest, "big") * bound >> 64

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[T]) -> T:
        """One item."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], size: int) -> list[T]:
        """`size` items from different places of `items`, in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(size)]

    def share(self, items: Sequence[T]) -> list[T]:
        """The items that this split may ask for: every fifth for held-out, the others for train."""
        heldout = self.split == "heldout"
        return [item for i, item in enumerate(items, 1) if (i % HELDOUT_EVERY == 0) == heldout]

    def own(self, items: Sequence[T]) -> T:
        """One item of this split's share."""
        return self.pick(self.share(items))
