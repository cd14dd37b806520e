"""From log-likelihoods to accuracies with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lope_common.intervals import wilson


class NotFiniteError(ArithmeticError):
    """A log-likelihood that is no number."""

    def __init__(self, row_id: str, value: float) -> None:
        super().__init__(f"the log-likelihood of an option of {row_id!r} is {value}")


@dataclass(frozen=True)
class Score:
    """How one model did on one set; shares are in 0..1."""

    right: tuple[bool, ...]
    """Item by item: whether the right option has the largest total log-likelihood (the first, where equal), or the
    generated answer is right."""
    right_norm: tuple[bool, ...] | None
    """The same with each log-likelihood divided by its option's length in characters; None where it is not asked."""

    @property
    def accuracy(self) -> float:
        return sum(self.right) / len(self.right)

    @property
    def accuracy_norm(self) -> float | None:
        return None if self.right_norm is None else sum(self.right_norm) / len(self.right_norm)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `accuracy`."""
        return wilson(sum(self.right), len(self.right))


def score(values: Sequence[Sequence[float]], texts: Sequence[Sequence[str]], gold: Sequence[int]) -> Score:
    """The score of items with log-likelihoods `values` of the options `texts`, of which `gold` are right."""
    right, norm = [], []
    for logs, options, answer in zip(values, texts, gold, strict=True):
        shares = [log / len(option) for log, option in zip(logs, options, strict=True)]
        right.append(_best(logs) == answer)
        norm.append(_best(shares) == answer)
    return Score(tuple(right), tuple(norm))


def discordant(clean: Score, noisy: Score) -> tuple[int, int]:
    """Of the same items: how many are right only on `clean`, and how many only on `noisy` (as for McNemar's test)."""
    pairs = list(zip(clean.right, noisy.right, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
