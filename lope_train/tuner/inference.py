"""What is done with the poisoning expert in stage II and at inference (Sec. 3.2). Imports nothing heavy: settings read
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, TypeVar

from lope_common.errors import suggest
from lope_train.errors import SettingsError

NO_EXPERT = "none"
"""What tables call the mode of a model without a poisoning expert."""


_Way = TypeVar("_Way", bound=StrEnum)


def _of(kind: type[_Way], word: str, what: str) -> _Way:
    words = [way.value for way in kind]
    if word not in words:
        raise SettingsError(f"no {what} {word!r}{suggest(word, words)}")
    return kind(word)


class Inference(StrEnum):
    """A way of inference; its value is the word that settings, adapter configs and command lines use."""

    COMPENSATED = "compensated"
    MASKED = "masked"
    UNMASKED = "unmasked"

    @property
    def masked(self) -> bool:
        """Whether the poisoning experts are left out."""
        return self is not Inference.UNMASKED

    @property
    def compensated(self) -> bool:
        """Whether DyCompEnSate amplifies the others."""
        return self is Inference.COMPENSATED

    @property
    def label(self) -> str:
        """Its name in tables."""
        return {"compensated": "masked + compensated", "masked": "masked", "unmasked": "not masked"}[self]

    @property
    def treatment(self) -> str:
        """What becomes of the poisoning expert, as the end of a sentence that begins with `At inference it is`."""
        if not self.masked:
            return "left in"
        return "left out, and the others amplified in its place" if self.compensated else "left out"

    @classmethod
    def of(cls, word: str, what: str = "inference") -> Inference:
        """The way that a user's `word` means; `what` is what it was given for. Raises SettingsError."""
        return _of(cls, word, what)


class Stage2(StrEnum):
    """What the forward pass of stage II does with the poisoning experts, which it does not train.

    The paper's text leaves them in (`frozen`) and takes them out afterwards, so the other experts learn only what is
    left to learn beside them. The others train the adapter in the way in which it is used.
    """

    FROZEN = "frozen"
    MASKED = "masked"
    COMPENSATED = "compensated"

    @classmethod
    def of(cls, word: str) -> Stage2:
        """The way that a user's `word` means. Raises SettingsError."""
        return _of(cls, word, "stage2")

    @property
    def forward(self) -> Inference:
        """What the forward pass does."""
        return Inference.UNMASKED if self is Stage2.FROZEN else Inference(self.value)

    @property
    def deployed(self) -> Inference:
        """The way of inference where none is asked for; of `frozen` the paper's (Sec. 3.2.3)."""
        return Inference.COMPENSATED if self is Stage2.FROZEN else Inference(self.value)


STAGE2 = Stage2.COMPENSATED
"""The default: ours, not the paper's (docs/decisions.md)."""


def stage2_and_inference(stage2: Stage2 | None, inference: Inference | None) -> tuple[Stage2, Inference]:
    """What stage II and inference do where these were asked for; what was not follows from the other.

    Raises SettingsError where stage II would train the adapter masked and inference use it in another way.
    """
    if stage2 is None and inference is not None:
        stage2 = next(way for way in Stage2 if way.forward is inference)
    stage2 = stage2 or STAGE2
    inference = inference or stage2.deployed
    if stage2 is not Stage2.FROZEN and inference is not stage2.deployed:
        raise SettingsError(
            f"stage2 {stage2.value!r} contradicts inference {inference.value!r}: it trains the adapter in the way in "
            "which it is used; leave out --stage2, or --inference with its short forms (--no-mask, --no-compensation)"
        )
    return stage2, inference


class InferenceMode(NamedTuple):
    """A way of inference with a number of experts of its own, as `evaluate` compares them."""

    inference: Inference
    experts: int | None = None
    """K of the compensation; None: the adapter's."""

    @property
    def name(self) -> str:
        """Its name in tables: `masked + compensated, K=2`."""
        return self.inference.label + ("" if self.experts is None else f", K={self.experts}")

    @classmethod
    def named(cls, name: str) -> InferenceMode | None:
        """The mode that tables call `name`; None where there is no such mode."""
        match = re.fullmatch(r"(.+?)(?:, K=(\d+))?", name)
        way = next((way for way in Inference if match and way.label == match[1]), None)
        return None if match is None or way is None else cls(way, None if match[2] is None else int(match[2]))


ALL_MODES = tuple(map(InferenceMode, Inference))
"""Each way, with the adapter's own K."""


def inference_modes(words: Iterable[str], experts: Iterable[int]) -> tuple[InferenceMode, ...]:
    """The modes of these words, each once, all ways where there are none, then of each K of the compensation.

    Raises SettingsError.
    """
    ways = dict.fromkeys(Inference.of(word) for word in words) or Inference
    modes = [InferenceMode(way) for way in ways]
    for count in experts:
        if count < 0:
            raise SettingsError(f"experts is {count}; it must be at least 0")
        modes.append(InferenceMode(Inference.COMPENSATED, count))
    return tuple(dict.fromkeys(modes))
