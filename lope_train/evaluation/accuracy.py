"""From log-likelihoods or classes to accuracies with intervals, macro-F1, and paired differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lope_common.intervals import wilson


class NotFiniteError(ArithmeticError):
    """A log-likelihood, of an option or a class, that is no number."""

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
    macro_f1: float | None = None
    """`macro_f1` of the classes that were chosen; None where not all items are of one set of classes."""
    cut: int = 0
    """How many items were too long for the model and lost their right end."""

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


def score(
    values: Sequence[Sequence[float]], texts: Sequence[Sequence[str]], gold: Sequence[int], classified: bool = False
) -> Score:
    """The score of items with log-likelihoods `values` of the options `texts`, of which `gold` are right.

    `classified` says that the options of all items are the same classes.
    """
    chosen = [_best(logs) for logs in values]
    norm = []
    for logs, options, answer in zip(values, texts, gold, strict=True):
        shares = [log / len(option) for log, option in zip(logs, options, strict=True)]
        norm.append(_best(shares) == answer)
    right = tuple(one == answer for one, answer in zip(chosen, gold, strict=True))
    return Score(right, tuple(norm), macro_f1(gold, chosen) if classified else None)


def macro_f1(gold: Sequence[int], chosen: Sequence[int]) -> float:
    """The mean F1 of the classes that are right or chosen somewhere, each as heavy as the others; in 0..1.

    F1 of a class is 2 TP / (2 TP + FP + FN). It is what scikit-learn's `f1_score(average="macro")` gives.
    """
    right, gold_of, chosen_of = (Counter[int](), Counter(gold), Counter(chosen))
    right.update(a for a, b in zip(gold, chosen, strict=True) if a == b)
    classes = gold_of.keys() | chosen_of.keys()
    return sum(2 * right[one] / (gold_of[one] + chosen_of[one]) for one in sorted(classes)) / len(classes)


def discordant(clean: Score, noisy: Score) -> tuple[int, int]:
    """Of the same items: how many are right only on `clean`, and how many only on `noisy` (as for McNemar's test)."""
    pairs = list(zip(clean.right, noisy.right, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
